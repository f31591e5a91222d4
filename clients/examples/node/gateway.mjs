// Asks the gateway what is in each picture: node gateway.mjs PHOTO...
// GATEWAY and MODEL in the environment say whom.
import { readFile } from "node:fs/promises";

const gateway = process.env.GATEWAY ?? "http://127.0.0.1:8080";
const model = process.env.MODEL ?? "shapes_cnn";

async function classify(picture) {
  const response = await fetch(`${gateway}/v1/models/${encodeURIComponent(model)}/classify`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream" },
    body: picture,
    signal: AbortSignal.timeout(10_000),
  });
  const document = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(document.detail ?? `HTTP status ${response.status}`);
  return document.predictions[0];
}

for (const path of process.argv.slice(2)) {
  try {
    const { label, probability } = await classify(await readFile(path));
    console.log(`${path}\t${label}\t${probability.toFixed(4)}`);
  } catch (error) {
    console.error(`${path}: ${error.message}`);
    process.exitCode = 1;
  }
}
