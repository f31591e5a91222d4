// Asks over gRPC what is in each picture, files as they are: node grpc.mjs PHOTO...
// GRPC and MODEL in the environment say whom; the labels come from the model's own card.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const proto = fileURLToPath(new URL("predict.proto", import.meta.url));
const definition = loader.loadSync(proto, { keepCase: true, longs: Number });
const { PredictionService } = grpc.loadPackageDefinition(definition).tensorflow.serving;
const client = new PredictionService(process.env.GRPC ?? "127.0.0.1:8500", grpc.credentials.createInsecure());
const name = process.env.MODEL ?? "shapes_cnn";
const INT32 = 3;
const STRING = 7;

function predict(signature_name, inputs) {
  const request = { model_spec: { name, signature_name }, inputs };
  return new Promise((resolve, reject) =>
    client.Predict(request, { deadline: Date.now() + 10_000 }, (error, answer) =>
      error ? reject(new Error(error.details)) : resolve(answer.outputs),
    ),
  );
}

// Numbers come typed or, if the server was told so, as the bytes of little-endian floats.
function floats({ float_val, tensor_content }) {
  if (!tensor_content?.length) return float_val;
  return Array.from({ length: tensor_content.length / 4 }, (_, at) => tensor_content.readFloatLE(4 * at));
}

const one = { dim: [{ size: 1 }] };
const asked = { request: { dtype: INT32, tensor_shape: one, tensor_content: Buffer.alloc(4) } };
try {
  const { labels } = JSON.parse((await predict("card", asked)).card.string_val[0].toString());
  for (const path of process.argv.slice(2)) {
    const image_bytes = { dtype: STRING, tensor_shape: one, string_val: [await readFile(path)] };
    const probabilities = floats((await predict("encoded", { image_bytes })).probabilities);
    const best = probabilities.indexOf(Math.max(...probabilities));
    console.log(`${path}\t${labels[best]}\t${probabilities[best].toFixed(4)}`);
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  client.close();
}
