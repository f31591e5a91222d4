#!/bin/sh
# Ask over gRPC by reflection: sh grpcurl.sh PHOTO [IMAGE_MODEL] [TEXT_MODEL]
set -eu
photo=$1
image_model=${2:-shapes_cnn}
text_model=${3:-sample_reviews}
server=${GRPC:-127.0.0.1:8500}

# Is it well, and which versions are there?
grpcurl -plaintext "$server" grpc.health.v1.Health/Check
grpcurl -plaintext -d "{\"model_spec\": {\"name\": \"$image_model\"}}" \
  "$server" tensorflow.serving.ModelService/GetModelStatus

# A picture file to the signature `encoded`; bytes are base64 in JSON.
printf '{"model_spec": {"name": "%s", "signature_name": "encoded"}, "inputs": {"image_bytes":
  {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": 1}]}, "string_val": ["%s"]}}}' \
  "$image_model" "$(base64 <"$photo" | tr -d '\n')" |
  grpcurl -plaintext -d @ "$server" tensorflow.serving.PredictionService/Predict

# A text.
printf '{"model_spec": {"name": "%s"}, "inputs": {"text":
  {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": 1}]}, "string_val": ["%s"]}}}' \
  "$text_model" "$(printf %s 'A lovely film.' | base64 | tr -d '\n')" |
  grpcurl -plaintext -d @ "$server" tensorflow.serving.PredictionService/Predict
