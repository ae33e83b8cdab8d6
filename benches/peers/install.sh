#!/usr/bin/env bash
# Installs what the benchmarks compare with into target/peers, and says how to use it.
set -euo pipefail
cd "$(dirname "$0")/../.."
python3 -m venv target/peers
target/peers/bin/pip install --quiet torch transformers safetensors torchvision lsuv mergekit
echo "XFER_PEER_PYTHON=$PWD/target/peers/bin/python cargo bench"
