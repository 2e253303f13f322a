#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copyright the ProxyFS authors
# Makes a CA and certificates for tests and trials.
#
#   tools/dev/certs.sh DIR [--days N] [--host NAME-OR-ADDRESS]... [--tests]
#
# In DIR: ca.pem (ca.key), server.pem (server.key) for localhost, 127.0.0.1, ::1 and every --host,
# client.pem (client.key). With --tests also certificates that must be refused:
#   expired.pem           server certificate whose time is over
#   wronghost.pem         server certificate for another name
#   expired-client.pem    client certificate whose time is over
#   revoked-client.pem    client certificate on the list crl.pem of the CA
#   revoked.pem           server certificate on that list
#   other-ca.pem, other.pem, other-client.pem    of a CA that nobody trusts
#   mismatch.key          a key that belongs to no certificate
# each with its .key. Keys are readable by the owner only. Existing files are replaced.
set -euo pipefail

fail() {
    printf 'certs.sh: %s\n' "$*" >&2
    exit 1
}

dir= days=365 tests=no hosts='DNS:localhost,IP:127.0.0.1,IP:::1'
while [ $# -gt 0 ]; do
    case "$1" in
    --days)
        [[ "${2:-}" =~ ^[0-9]+$ ]] || fail '--days needs a number'
        days=$2
        shift 2
        ;;
    --host)
        [ -n "${2:-}" ] || fail '--host needs a name or an address'
        case "$2" in
        *:* | [0-9]*.[0-9]*.[0-9]*.[0-9]*) hosts+=",IP:$2" ;;
        *) hosts+=",DNS:$2" ;;
        esac
        shift 2
        ;;
    --tests) tests=yes && shift ;;
    -*) fail "no such flag: $1; usage: certs.sh DIR [--days N] [--host NAME]... [--tests]" ;;
    *)
        [ -z "$dir" ] || fail "one directory, not '$dir' and '$1'"
        dir=$1 && shift
        ;;
    esac
done
[ -n "$dir" ] || fail 'usage: certs.sh DIR [--days N] [--host NAME]... [--tests]'
command -v openssl >/dev/null || fail 'openssl is missing: apt-get install openssl'
mkdir -p "$dir"
cd "$dir"
umask 077 # keys 0600 from the first byte on

log=$(mktemp)
trap 'rm -rf "$log" .ca-*' EXIT
ssl() {
    openssl "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        fail "failed: openssl $*"
    }
}

new_key() {
    ssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}

# new_ca NAME: NAME.pem, NAME.key and the book-keeping that `openssl ca` wants.
new_ca() {
    local book=.ca-$1
    rm -rf "$book" && mkdir "$book"
    touch "$book/index" && echo 01 >"$book/crlnumber"
    cat >"$book/conf" <<CONF
[ca]
default_ca = it
[it]
database = $book/index
new_certs_dir = $book
rand_serial = yes
crlnumber = $book/crlnumber
default_md = sha256
default_crl_days = $days
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
organizationName = optional
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
CONF
    new_key "$1.key"
    ssl req -x509 -new -config "$book/conf" -extensions authority -key "$1.key" -days "$days" \
        -subj "/O=ProxyFS/CN=$1" -out "$1.pem"
    chmod 644 "$1.pem"
}

# new_cert CA NAME serverAuth|clientAuth SAN [START END]: NAME.pem and NAME.key.
new_cert() {
    local ca=$1 name=$2 use=$3 san=$4 book=.ca-$1
    local when=(-days "$days")
    [ $# -lt 6 ] || when=(-startdate "$5" -enddate "$6")
    cat >"$book/ext" <<EXT
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = $use
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = $san
EXT
    new_key "$name.key"
    ssl req -new -config "$book/conf" -key "$name.key" -subj "/O=ProxyFS/CN=$name" -out "$book/csr"
    ssl ca -batch -notext -config "$book/conf" -cert "$ca.pem" -keyfile "$ca.key" \
        -extfile "$book/ext" "${when[@]}" -in "$book/csr" -out "$name.pem"
    chmod 644 "$name.pem"
}

new_ca ca
new_cert ca server serverAuth "$hosts"
new_cert ca client clientAuth DNS:client
if [ $tests = yes ]; then
    long_ago=(20200101000000Z 20200201000000Z)
    new_cert ca expired serverAuth "$hosts" "${long_ago[@]}"
    new_cert ca expired-client clientAuth DNS:client "${long_ago[@]}"
    new_cert ca wronghost serverAuth DNS:wrong.example.com
    new_cert ca revoked serverAuth "$hosts"
    new_cert ca revoked-client clientAuth DNS:revoked-client
    for name in revoked revoked-client; do
        ssl ca -config .ca-ca/conf -cert ca.pem -keyfile ca.key -revoke "$name.pem"
    done
    ssl ca -config .ca-ca/conf -cert ca.pem -keyfile ca.key -gencrl -out crl.pem
    chmod 644 crl.pem
    new_ca other-ca
    new_cert other-ca other serverAuth "$hosts"
    new_cert other-ca other-client clientAuth DNS:client
    new_key mismatch.key
fi
