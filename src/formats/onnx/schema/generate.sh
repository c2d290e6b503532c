#!/bin/sh
# Makes onnx_pb.ts from onnx.proto, which is onnx-ml.proto of the PyPI package onnx 1.23.2.
set -e
cd "$(dirname "$0")"
npx buf generate . --template '{"version":"v2","plugins":[{"local":"protoc-gen-es","out":".","opt":["target=ts","import_extension=ts","erasable_syntax=true"]}]}'
