#!/usr/bin/env bash
# Fetches CIFAR-10 (binary version) or MNIST for the examples:
#   scripts/download_images.sh cifar10|mnist [DIRECTORY]        (default: data)
# Run it again after an interruption: it continues where it stopped.
set -euo pipefail
. "$(cd "$(dirname "$0")" && pwd)/fetch_file.sh"

case ${1-} in
cifar10)
    base=https://www.cs.toronto.edu/~kriz
    files="
        cifar-10-binary.tar.gz 170052171 c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd
    "
    ;;
mnist)
    base=https://storage.googleapis.com/cvdf-datasets/mnist
    files="
        train-images-idx3-ubyte.gz 9912422 440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609
        train-labels-idx1-ubyte.gz 28881 3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c
        t10k-images-idx3-ubyte.gz 1648877 8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6
        t10k-labels-idx1-ubyte.gz 4542 f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6
    "
    ;;
*)
    die "unknown images '${1-}'; wanted cifar10 or mnist"
    ;;
esac
directory=${2:-data}
mkdir -p "$directory" || exit 2  # mkdir has said why
while read -r file bytes sum; do
    [ -n "$file" ] || continue
    if [ -e "$directory/$file" ]; then
        echo "$directory/$file already exists"
    else
        fetch "$base/$file" "$bytes" "$sum" "$directory/$file"
    fi
done <<<"$files"
