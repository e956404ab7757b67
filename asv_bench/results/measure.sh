#!/usr/bin/env bash
# How this history was measured: bash asv_bench/results/measure.sh
#
# Twice through all commits, so that a change of the machine's speed meets all of them, and a subset
# of the benchmarks. On one thread: times are those of the processor, whatever else the machine did.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for round in 1 2; do
    python -m asv run --machine vm --append-samples --show-stderr \
        -a rounds=1 -a repeat=3 -a number=1 -a warmup_time=0 \
        --bench "training\.TrainingStep\.time_step\('\w+', '(4|784-100|3072-50)-10(-3)?', 'float32'" \
        --bench "predict\.Predict\.time_predict\('\w+', '4-10-3', 'float32', 1\)" \
        --bench "kernels\.(AffineHidden|SoftmaxGradient)\.time_call\('\w+', '784-100-10', 'float32'" \
        "HASHFILE:results/commits.txt"
done
# Once through all commits: starts, and a deeper network beside its peer.
python -m asv run --machine vm --append-samples --show-stderr \
    -a rounds=1 -a repeat=3 -a number=1 -a warmup_time=0 \
    --bench "startup\.FirstTraining" \
    --bench "deep\.NetworkStep\.time_step\('(numpy|fastnn|scikit-learn)', '784" \
    "HASHFILE:results/commits.txt"
