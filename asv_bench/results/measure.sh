#!/usr/bin/env bash
# How this history was measured: bash asv_bench/results/measure.sh
#
# On one core, twice through all commits, so that a change of the machine's speed meets all of them, and a
# subset of the benchmarks. PyTorch and JAX were installed in asv's environment by hand.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
run() {
    taskset -c 1 python -m asv run --machine vm --append-samples --show-stderr \
        -a rounds=1 -a repeat=3 -a number=1 -a warmup_time=0 "$@" "HASHFILE:results/commits.txt"
}
for round in 1 2; do
    run --bench "training\.TrainingStep\.time_step\('\w+', '(4|784-100|3072-50)-10(-3)?', 'float32'" \
        --bench "predict\.Predict\.time_predict\('\w+', '4-10-3', 'float32', 1\)" \
        --bench "kernels\.(AffineHidden|SoftmaxGradient)\.time_call\('\w+', '784-100-10', 'float32'" \
        --bench "deep\.NetworkStep\.time_step\('(numpy|fastnn|scikit-learn|PyTorch|JAX)', '784"
done
# Once through all commits: starts with an empty and with a full cache of machine code.
run --bench "startup\.FirstTraining"
