#!/usr/bin/env bash
# Run the e2e tests: on the cluster of hack/cluster, or on a kind cluster where a Docker engine is at hand and
# KIP_E2E_KIND=1 asks for it. What is given goes to pytest.
#   hack/run-e2e.sh [--rm] [PYTEST ARGUMENT...]
#   --rm  remove the cluster afterwards
set -euo pipefail
cd "$(dirname "$0")/.."
