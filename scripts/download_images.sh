#!/usr/bin/env bash
# Fetches CIFAR-10 (binary version) or MNIST for the examples:
#   scripts/download_images.sh cifar10|mnist [DIRECTORY]        (default: data)
set -euo pipefail
name=${1:?cifar10 or mnist}
directory=${2:-data}
case $name in
cifar10)
    base=https://www.cs.toronto.edu/~kriz
    files=(cifar-10-binary.tar.gz)
    ;;
mnist)
    base=https://storage.googleapis.com/cvdf-datasets/mnist
    files=({train,t10k}-{images-idx3,labels-idx1}-ubyte.gz)
    ;;
*)
    echo "download_images.sh: error: no images named '$name'; wanted cifar10 or mnist" >&2
    exit 2
    ;;
esac
mkdir -p "$directory"
for file in "${files[@]}"; do
    if [[ -e $directory/$file ]]; then
        echo "$directory/$file is there"
        continue
    fi
    curl --fail --location --retry 3 --output "$directory/$file.part" "$base/$file"
    mv "$directory/$file.part" "$directory/$file"
done
