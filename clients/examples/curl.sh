#!/bin/sh
# Ask the gateway, then TensorFlow Serving's REST API: sh curl.sh PHOTO [IMAGE_MODEL] [TEXT_MODEL]
set -eu
photo=$1
image_model=${2:-shapes_cnn}
text_model=${3:-sample_reviews}
gateway=${GATEWAY:-http://127.0.0.1:8080}
rest=${REST:-http://127.0.0.1:8501}

# What is there?
curl -fsS "$gateway/v1/models"; echo

# One picture, three labels, at most two seconds.
curl -fsS --data-binary "@$photo" -H 'Content-Type: image/jpeg' -H 'X-Request-Timeout: 2' \
  "$gateway/v1/models/$image_model/classify?top=3"; echo

# Several pictures in one request, answered in their order.
curl -fsS -F "a=@$photo;type=image/jpeg" -F "b=@$photo;type=image/jpeg" \
  "$gateway/v1/models/$image_model/classify"; echo

# A text.
curl -fsS -H 'Content-Type: text/plain' --data-binary 'A lovely film, not a dull minute.' \
  "$gateway/v1/models/$text_model/classify"; echo

# TensorFlow Serving's own API: state, and the picture file itself to the signature `encoded`.
curl -fsS "$rest/v1/models/$image_model"; echo
printf '{"signature_name": "encoded", "instances": [{"b64": "%s"}]}' "$(base64 <"$photo" | tr -d '\n')" |
  curl -fsS --data-binary @- "$rest/v1/models/$image_model:predict"; echo
