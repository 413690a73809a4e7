#!/usr/bin/env bash
# Downloads Stanford's GloVe 6B vectors (862 MB) into data/ and unpacks them.
# Run it again after an interruption: it goes on where it stopped. It deletes nothing of yours.
set -euo pipefail

url=https://nlp.stanford.edu/data/glove.6B.zip
bytes=862182613
data=$(cd "$(dirname "$0")/.." && pwd)/data
archive=$data/glove.6B.zip
part=$archive.part
files=(glove.6B.50d.txt glove.6B.100d.txt glove.6B.200d.txt glove.6B.300d.txt)

die() {
    printf '%s: error: %s\n' "$(basename "$0")" "$1" >&2
    exit 2
}

for tool in curl unzip; do
    command -v "$tool" >/dev/null || die "$tool is not installed; install it, with your system's package manager"
done
mkdir -p "$data"

size_of() { [ -f "$1" ] && wc -c <"$1" || echo 0; }

if [ ! -f "$archive" ]; then
    if [ "$(size_of "$part")" -ne "$bytes" ]; then
        curl --fail --location --continue-at - --output "$part" "$url" ||
            die "the download of $url stopped; run this script again to go on from there"
    fi
    [ "$(size_of "$part")" -eq "$bytes" ] ||
        die "$part has $(size_of "$part") bytes, wanted $bytes; delete it and run this script again"
    unzip -tqq "$part" || die "$part is damaged; delete it and run this script again"
    mv "$part" "$archive"
fi

for file in "${files[@]}"; do
    if [ -e "$data/$file" ]; then
        printf '%s is there already\n' "data/$file"
        continue
    fi
    unzip -p "$archive" "$file" >"$data/.$file.part" || die "$archive has no readable $file"
    mv "$data/.$file.part" "$data/$file"
    printf 'wrote %s\n' "data/$file"
done
printf 'next: python scripts/convert_glove2numpy.py data/glove.6B.300d.txt\n'
