#!/usr/bin/env bash
# Run the e2e tests on a real cluster: a kind cluster where a Docker engine and kind are at hand, the one of
# hack/cluster otherwise. KIP_E2E_CLUSTER=kind or =local chooses. Logs of failed tests are kept in e2e/logs.
#
#   hack/run-e2e.sh [--rm] [PYTEST ARGUMENT ...]
#
#   --rm   remove the cluster afterwards
set -euo pipefail
cd "$(dirname "$0")/.."
hack/setup

remove=no
if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"
  exit 0
elif [ "${1:-}" = --rm ]; then
  remove=yes
  shift
fi

if [ -z "${KIP_E2E_CLUSTER:-}" ]; then
  if command -v kind >/dev/null && docker info >/dev/null 2>&1; then
    KIP_E2E_CLUSTER=kind
  else
    KIP_E2E_CLUSTER=local
  fi
fi
export KIP_E2E_CLUSTER

if [ "$KIP_E2E_CLUSTER" = kind ]; then
  # The demo and these tests look into nodes of hack/cluster, change them, or need programs that it builds.
  eval "$(hack/kind up)"
  down=(hack/kind down)
  set -- --ignore=e2e/test_demo.py --ignore=e2e/test_cluster.py \
    --ignore=e2e/test_image_gc.py --ignore=e2e/test_node_faults.py --ignore=e2e/test_soak.py \
    --ignore=e2e/test_openshift.py --ignore=e2e/test_guide.py --ignore=e2e/test_pull.py "$@"
else
  # Here, and not first in a fixture, as building takes minutes and says how far it is.
  hack/cluster up
  hack/image push
  hack/demo-images >/dev/null
  down=(hack/cluster down)
fi

rm -rf e2e/logs
# Most tests wait most of the time, so several run at once; then those that no other may run beside.
code=0
run() {
  local failed=0
  .venv/bin/pytest e2e --timeout=900 -o timeout_func_only=true "$@" || failed=$?
  # Fixtures bring up nodes and images, which may take long on a busy machine.
  # 5: there is no such test, which is fine for one of the two.
  if [ "$failed" -ne 0 ] && [ "$failed" -ne 5 ]; then code=$failed; fi
}
run --numprocesses "${KIP_E2E_PROCESSES:-3}" -m "not alone" "$@"
run -m alone "$@"
if [ "$code" -ne 0 ] && [ -d e2e/logs ]; then
  echo "hack/run-e2e.sh: logs of the failed tests are in e2e/logs" >&2
fi
if [ "$remove" = yes ]; then
  "${down[@]}"
fi
exit "$code"
