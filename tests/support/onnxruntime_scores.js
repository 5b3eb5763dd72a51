#!/usr/bin/env node
/* Scores by ONNX Runtime, a second opinion beside torch's: onnxruntime_scores.js FIXTURES FOLDER
 *
 * For every case in FIXTURES/{accepted,networks} writes the same case to FOLDER, with ONNX Runtime's answer as scores.f32, and
 * prints how far torch's is from it. Then ONNX_FIXTURES=FOLDER build/release/unit/test_onnx_fixtures compares ours. Needs the
 * npm package onnxruntime-node, installed anywhere outside the repository and named in NODE_PATH. Cases that end in a softmax
 * are left out: our importer gives the scores before it. No test depends on this script. */
'use strict';
const fs = require('fs');
const path = require('path');
const ort = require('onnxruntime-node');

function floats(file) {
  const bytes = fs.readFileSync(file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

async function run(from, to) {
  fs.cpSync(from, to, {recursive: true});
  const session = await ort.InferenceSession.create(path.join(to, 'model.onnx'), {
    logSeverityLevel: 3, graphOptimizationLevel: 'disabled', /* it would fuse a Pad into a MaxPool it does not fit */
  });
  const port = session.inputMetadata[0];
  const picture = floats(path.join(to, 'input.f32'));
  const batch = typeof port.shape[0] === 'number' && port.shape[0] > 0 ? port.shape[0] : 1;
  const data = new Float32Array(batch * picture.length);
  for (let i = 0; i < batch; i++) data.set(picture, i * picture.length);
  const answer = await session.run({[port.name]: new ort.Tensor('float32', data, [batch, ...port.shape.slice(1)])});
  const scores = answer[session.outputNames[0]].data.slice(0, answer[session.outputNames[0]].data.length / batch);
  const torch = floats(path.join(to, 'scores.f32'));
  fs.writeFileSync(path.join(to, 'scores.f32'), Buffer.from(scores.buffer, scores.byteOffset, scores.byteLength));
  if (scores.length !== torch.length) throw new Error(`${scores.length} scores, torch gives ${torch.length}`);
  return scores.reduce((most, s, i) => Math.max(most, Math.abs(s - torch[i])), 0);
}

async function main(from, to) {
  let failed = 0;
  for (const group of ['accepted', 'networks'])
    for (const name of fs.readdirSync(path.join(from, group)).sort()) {
      if (/softmax/.test(name)) continue;
      try {
        const difference = await run(path.join(from, group, name), path.join(to, group, name));
        console.log(`${name.padEnd(40)} torch - onnxruntime ${difference.toExponential(1)}`);
      } catch (e) {
        failed++;
        console.log(`${name.padEnd(40)} ${e.message}`);
        fs.rmSync(path.join(to, group, name), {recursive: true, force: true});
      }
    }
  process.exitCode = failed ? 1 : 0;
}

if (process.argv.length !== 4) {
  console.error('onnxruntime_scores.js FIXTURES FOLDER');
  process.exit(2);
}
main(process.argv[2], process.argv[3]);
