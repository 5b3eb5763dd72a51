#!/usr/bin/env node
/* ONNX Runtime's side of a comparison: the float network, commands on standard input as driver.c has them.
 *
 *   NODE_PATH=.../node_modules node ort.js NETWORK.onnx INPUTS N THREADS
 *
 *   run FIRST B     pictures FIRST .. FIRST + B - 1 in one call: nanoseconds, on the clock and of the processor
 *   scores I        scores of picture I
 */
'use strict';
const fs = require('fs');
const readline = require('readline');
const ort = require('onnxruntime-node');

async function main([file, inputs, count, threads]) {
  const session = await ort.InferenceSession.create(file, {
    logSeverityLevel: 3, intraOpNumThreads: Number(threads), interOpNumThreads: 1, executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  });
  const port = session.inputMetadata[0];
  const bytes = fs.readFileSync(inputs);
  const all = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const size = all.length / Number(count);
  const feed = (first, batch) => ({
    [port.name]: new ort.Tensor('float32', all.slice(first * size, (first + batch) * size), [batch, ...port.shape.slice(1)]),
  });
  console.log('ready');
  for await (const line of readline.createInterface({input: process.stdin})) {
    const [command, first, batch] = line.split(' ');
    if (command === 'run') {
      const ask = feed(Number(first), Number(batch));
      const cpu = process.cpuUsage(), begin = process.hrtime.bigint();
      await session.run(ask);
      const wall = process.hrtime.bigint() - begin, used = process.cpuUsage(cpu);
      console.log(`${wall} ${(used.user + used.system) * 1000}`);
    } else if (command === 'scores') {
      const answer = await session.run(feed(Number(first), 1));
      console.log(Array.from(answer[session.outputNames[0]].data).join(' '));
    } else console.log('unknown');
  }
}

main(process.argv.slice(2)).catch((e) => { console.error(`ort.js: ${e.message}`); process.exit(1); });
