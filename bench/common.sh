# Sourced by the scripts beside it: builds the release binary, and measures commands.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
runs=${RUNS:-3}
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
cargo build --release --locked --quiet --bins --examples
unsprawl=$PWD/target/release/unsprawl
read_history=$PWD/target/release/examples/read_history

# measure NAME COMMAND...: one line of `name wall cpu MiB` a run goes to $temporary/runs
measure() {
    local name=$1
    shift
    python3 - "$name" "$@" >>"$temporary/runs" <<'P'
import resource, subprocess, sys, time
name, *command = sys.argv[1:]
begun = time.monotonic()
code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
wall = time.monotonic() - begun
# 1 means findings (or, for grep, none), 3 an incomplete scan.
if code not in (0, 1, 3):
    sys.exit(f"{command[0]} ended with {code}")
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(name, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
P
}

# table: medians of what was measured, and ratios to the line `unsprawl`
table() {
    python3 - "$temporary/runs" <<'P'
import statistics, sys
rows = {}
for line in open(sys.argv[1]):
    name, *numbers = line.split()
    rows.setdefault(name, []).append([float(n) for n in numbers])
median = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in rows.items()}
ours = median["unsprawl"]
print(f"{'':12}{'wall s':>9}{'cpu s':>9}{'MiB':>8}{'ours/wall':>11}{'ours/cpu':>10}")
for name, (wall, cpu, memory) in median.items():
    ratio = [ours[0] / max(wall, 0.001), ours[1] / max(cpu, 0.001)]
    print(f"{name:12}{wall:9.3f}{cpu:9.3f}{memory:8.0f}{ratio[0]:11.1f}{ratio[1]:10.1f}")
P
    rm -f "$temporary/runs"
}
