#!/usr/bin/env node
// Classify pictures from JavaScript with fetch, in Node or a browser: ./classify.mjs PICTURE.png...
import { readFile } from "node:fs/promises";

const url = process.env.URL ?? "http://127.0.0.1:8080", model = process.env.MODEL ?? "lenet-mnist";

for (const path of process.argv.slice(2)) {
  const reply = await fetch(`${url}/v1/models/${model}/classify?timesteps=8&neuron=if`, {
    method: "POST", headers: { "Content-Type": "image/png" }, body: await readFile(path),
  });
  const answer = await reply.json();
  if (!reply.ok) throw new Error(`${path}: ${answer.detail}`);
  const best = answer.results[0].class;
  console.log(path, best.label, best.probability.toFixed(4));
}
