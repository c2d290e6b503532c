#!/bin/sh
# Makes onnx_pb.ts from onnx.proto, which is onnx-ml.proto of the PyPI package onnx 1.23.2.
# Packed floats are declared as bytes, which they are on the wire: so they become views of the file instead of lists of numbers.
set -e
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
sed -e 's/repeated float float_data = 4 \[packed = true\]/repeated bytes float_data = 4/' \
  -e 's/repeated double double_data = 10 \[packed = true\]/repeated bytes double_data = 10/' onnx.proto > "$work/onnx.proto"
npx buf generate "$work" --template '{"version":"v2","plugins":[{"local":"protoc-gen-es","out":".","opt":["target=ts","import_extension=ts","erasable_syntax=true"]}]}'
