# For the scripts beside it: fetches a file whose size and SHA-256 are known. The file gets its
# name only when it is complete and correct; an interrupted download is continued.

die() {
    printf '%s: error: %s\n' "$(basename "$0")" "$1" >&2
    exit 2
}

need() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null || die "$tool is not installed; install it with your system's package manager"
    done
}

size_of() { if [ -f "$1" ]; then wc -c <"$1"; else echo 0; fi; }

sha256_of() {
    if command -v sha256sum >/dev/null; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi | cut -c 1-64
}

# fetch URL BYTES SHA256 FILE
fetch() {
    local url=$1 bytes=$2 wanted=$3 file=$4 part=$4.part seen
    need curl
    command -v sha256sum >/dev/null || need shasum
    if [ "$(size_of "$part")" -ne "$bytes" ]; then
        curl --proto '=https' --tlsv1.2 --fail --location --retry 3 --continue-at - --output "$part" "$url" ||
            die "the download of $url stopped; run this script again to continue"
    fi
    seen=$(size_of "$part")
    [ "$seen" -ge "$bytes" ] ||
        die "$part has $seen bytes, wanted $bytes; run this script again to continue"
    seen=$(sha256_of "$part")
    if [ "$seen" != "$wanted" ]; then
        rm "$part"
        die "$url has SHA-256 $seen, wanted $wanted; the download was removed: run this script again, and if this happens again, the file on the server has changed"
    fi
    mv "$part" "$file"
}
