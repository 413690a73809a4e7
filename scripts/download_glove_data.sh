#!/usr/bin/env bash
# Downloads Stanford's GloVe 6B vectors (862 MB) into data/ and unpacks them.
# Run it again after an interruption: it continues where it stopped. It does not delete your files.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/fetch_file.sh"

url=https://nlp.stanford.edu/data/glove.6B.zip
bytes=862182613
sum=617afb2fe6cbd085c235baf7a465b96f4112bd7f7ccb2b2cbd649fed9cbcf2fb
data=$(dirname "$here")/data
archive=$data/glove.6B.zip
files=(glove.6B.50d.txt glove.6B.100d.txt glove.6B.200d.txt glove.6B.300d.txt)

need unzip
mkdir -p "$data"
[ -f "$archive" ] || fetch "$url" "$bytes" "$sum" "$archive"

for file in "${files[@]}"; do
    if [ -e "$data/$file" ]; then
        printf '%s already exists\n' "data/$file"
        continue
    fi
    part=$data/.$file.part
    trap 'rm -f "$part"' EXIT
    unzip -p "$archive" "$file" >"$part" || die "$archive has no readable $file"
    mv "$part" "$data/$file"
    printf 'wrote %s\n' "data/$file"
done
printf 'next: python scripts/convert_glove2numpy.py data/glove.6B.300d.txt\n'
