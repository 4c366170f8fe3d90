#!/usr/bin/env bash
# Installs and builds what clients of test/clients/run.ts and test/http/run.ts need: install.sh [NAME…], all of them without a name.
# What is there already is left as it is. Packages of Debian come by apt; all else lies in one directory
# outside of the repository, $CORDWOOD_CLIENTS_CACHE or ~/.cache/cordwood-clients.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
http=$root/test/http
cache=${CORDWOOD_CLIENTS_CACHE:-$HOME/.cache/cordwood-clients}
go_version=1.26.8 # taken when there is no Go, or an older one than Go's own toolchain switching

# from_apt TEST PACKAGE…: installs the packages unless the test passes.
from_apt() {
  local test=$1
  shift
  if eval "$test" >/dev/null 2>&1; then return; fi
  if ! command -v apt-get >/dev/null; then
    echo "install.sh: there is no apt-get here; install by hand what Debian calls: $*" >&2
    exit 1
  fi
  local -a as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
      echo "install.sh: run as root: apt-get install $*" >&2
      exit 1
    fi
    as_root=(sudo -n)
  fi
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null
  eval "$test" >/dev/null 2>&1 || { echo "install.sh: $* brought no: $test" >&2; exit 1; }
}

# unless_done DIRECTORY FILES… -- COMMAND…: runs the command unless it ran for these very files before.
unless_done() {
  local directory=$1 stamp
  shift
  local -a files=()
  while [ "$1" != -- ]; do files+=("$1"); shift; done
  shift
  stamp=$(cat "${files[@]}" | sha256sum)
  if [ "$(cat "$directory/.stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
  mkdir -p "$directory"
  rm -f "$directory/.stamp"
  "$@"
  echo "$stamp" >"$directory/.stamp"
}

librdkafka() {
  from_apt 'command -v gcc && echo "#include <librdkafka/rdkafka.h>" | gcc -E -' gcc libc6-dev librdkafka-dev
  unless_done "$cache/c" "$here/c/client.c" "$here/install.sh" -- \
    gcc -D_GNU_SOURCE -std=c11 -O1 -Wall -Wextra -Werror -o "$cache/c/client" "$here/c/client.c" -lrdkafka -lpthread
}

python() {
  unless_done "$cache/python" "$here/python/requirements.txt" -- python_packages
}

python_packages() {
  from_apt 'python3 -c "import ensurepip, venv"' python3 python3-venv
  python3 -m venv --clear "$cache/python"
  "$cache/python/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/python/requirements.txt"
}

go_program() {
  local name=$1
  unless_done "$cache/go-$name" "$here/go/go.sum" "$here"/go/scenarios/*.go "$here/go/$name/main.go" -- go_build "$name"
}

go_build() {
  local go
  go=$(go_command)
  (cd "$here/go" && GOFLAGS=-mod=readonly GOTOOLCHAIN=auto "$go" build -o "$cache/go-$1/$1" "./$1")
}

# The Go of this machine where it is new enough, else one of our own.
go_command() {
  if command -v go >/dev/null && GOTOOLCHAIN=local go version | grep -qE 'go1\.(2[1-9]|[3-9][0-9])'; then
    command -v go
  else
    go_of_our_own
  fi
}

# The program's directory outside of the repository gets the messages, made of the .proto files.
go_grpc() {
  local directory=$cache/go-grpc
  unless_done "$directory" "$http"/go/* "$root"/proto/*/v1/*.proto "$here/install.sh" -- go_grpc_build "$directory"
}

go_grpc_build() {
  local directory=$1 go
  go=$(go_command)
  cp "$http"/go/* "$directory/"
  mkdir -p "$directory/bin"
  (cd "$directory" && GOTOOLCHAIN=auto "$go" build -o bin/ tool)
  PATH=$directory/bin:$PATH node "$root/proto/run.ts" --template "$directory/buf.gen.yaml" --output "$directory/gen"
  (cd "$directory" && GOFLAGS=-mod=readonly GOTOOLCHAIN=auto "$go" build -o client .)
}

grpcurl() {
  unless_done "$cache/grpcurl" "$here/install.sh" -- grpcurl_build
}

grpcurl_build() {
  local go
  go=$(go_command)
  GOTOOLCHAIN=auto GOBIN=$cache/grpcurl "$go" install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3
}

python_grpcio() {
  local directory=$cache/python-grpcio
  unless_done "$directory" "$http"/python/* "$root"/proto/cordwood/v1/*.proto "$here/install.sh" -- python_grpcio_build "$directory"
}

python_grpcio_build() {
  local directory=$1
  from_apt 'python3 -c "import ensurepip, venv"' python3 python3-venv
  python3 -m venv --clear "$directory"
  "$directory/bin/pip" install --quiet --disable-pip-version-check --requirement "$http/python/requirements.txt"
  mkdir -p "$directory/client"
  cp "$http/python/client.py" "$directory/client/"
  "$directory/bin/python" -m grpc_tools.protoc --proto_path "$root/proto" --python_out "$directory/client" \
    --grpc_python_out "$directory/client" "$root"/proto/cordwood/v1/*.proto
}

# Debian's Go is too old to fetch a newer one by itself, but it can fetch it as the module that it is.
go_of_our_own() {
  local module=golang.org/toolchain@v0.0.1-go$go_version.linux-$(dpkg --print-architecture)
  local root=$cache/gopath/pkg/mod/$module
  if ! [ -x "$root/bin/go" ]; then
    from_apt 'ls /usr/lib/go-*/bin/go' golang-go >&2
    mkdir -p "$cache/gopath"
    printf 'module toolchain\n' >"$cache/gopath/go.mod"
    (cd "$cache/gopath" && env -u GOFLAGS GOPATH="$cache/gopath" /usr/lib/go-*/bin/go mod download "$module") >&2
    chmod -R u+w "$root"
    chmod +x "$root"/bin/* "$root"/pkg/tool/*/*
  fi
  echo "$root/bin/go"
}

java() {
  local version=$1
  unless_done "$cache/java-$version" "$here/java/pom.xml" "$here/java/Client.java" -- java_build "$version"
}

java_build() {
  local version=$1 directory=$cache/java-$1
  from_apt 'command -v javac' default-jdk-headless
  if ! [ -f "$directory/jars/kafka-clients-$version.jar" ]; then
    from_apt 'command -v mvn' maven
    mvn --batch-mode --quiet -Dstyle.color=never --file "$here/java/pom.xml" dependency:copy-dependencies \
      -Dkafka.version="$version" -DoutputDirectory="$directory/jars"
  fi
  mkdir -p "$directory/classes"
  javac -nowarn -cp "$directory/jars/*" -d "$directory/classes" "$here/java/Client.java"
}

if [ $# -eq 0 ]; then
  set -- kcat librdkafka kafka-python confluent-kafka franz-go segmentio java-4.3.1 java-2.8.2 kafkajs platformatic go-grpc grpcurl python-grpcio
fi
for name in "$@"; do
  case "$name" in
    chromium) from_apt 'command -v chromium' chromium ;;
    curl) from_apt 'command -v curl' curl ;;
    kcat) from_apt 'command -v kcat' kcat ;;
    librdkafka) librdkafka ;;
    kafka-python | confluent-kafka) python ;;
    franz-go) go_program franz ;;
    segmentio) go_program segmentio ;;
    go-grpc) go_grpc ;;
    grpcurl) grpcurl ;;
    python-grpcio) python_grpcio ;;
    java-*) java "${name#java-}" ;;
    kafkajs | platformatic) test -d "$here/../../node_modules/kafkajs" || { echo "install.sh: run npm ci" >&2; exit 1; } ;;
    *)
      echo "install.sh: no client is named $name" >&2
      exit 2
      ;;
  esac
done
