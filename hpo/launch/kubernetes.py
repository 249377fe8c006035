"""Workers in Kubernetes: a Deployment that serves whatever is launched, or a Job that ends when nothing is left.

`deploy/kubernetes` holds the same manifests for kustomize. YAML is written here as text, JSON within it where a value
comes from outside: every JSON text is YAML.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from hpo.errors import HpoError, UserError
from hpo.launch.order import Order

_POD = """\
metadata:
  labels: {{app.kubernetes.io/name: hpo, app.kubernetes.io/component: worker, app.kubernetes.io/instance: {name}}}
spec:
  # After SIGTERM the workers save their trials and give them back, which takes seconds.
  terminationGracePeriodSeconds: 120
  automountServiceAccountToken: false
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {{type: RuntimeDefault}}
{restart}  containers:
    - name: worker
      image: {image}
      args: {arguments}
      envFrom:
        - secretRef: {{name: {secret}}}
      # Ready: the database has seen a worker of this pod within the last minute. There is no liveness probe: a worker
      # that can't go on ends by itself, and one whose database is away must not be killed for it.
      readinessProbe:
        exec: {{command: [hpo, nodes, --here]}}
        initialDelaySeconds: 15
        periodSeconds: 60
        timeoutSeconds: 20
      resources:
        requests: {{cpu: "{cpus}", memory: {memory}}}
        limits: {{{limits}}}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {{drop: [ALL]}}
      volumeMounts:
        - {{name: scratch, mountPath: /tmp}}
        - {{name: scratch, mountPath: /cache, subPath: cache}}
{mount}  volumes:
    - {{name: scratch, emptyDir: {{}}}}
{volume}"""

_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app.kubernetes.io/name: hpo, app.kubernetes.io/component: worker, app.kubernetes.io/instance: {name}}}
spec:
  replicas: {pods}
  selector:
    matchLabels: {{app.kubernetes.io/name: hpo, app.kubernetes.io/instance: {name}}}
  strategy:
    type: RollingUpdate
    rollingUpdate: {{maxSurge: 0, maxUnavailable: 1}}
  template:
"""

_JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
  labels: {{app.kubernetes.io/name: hpo, app.kubernetes.io/component: worker, app.kubernetes.io/instance: {name}}}
spec:
  completionMode: Indexed
  completions: {pods}
  parallelism: {pods}
  backoffLimit: {backoff}
  podFailurePolicy:
    rules:
      # Exit code 2 is something a person must mend: a wrong URL or password. Trying again would not help.
      - action: FailJob
        onExitCodes: {{containerName: worker, operator: In, values: [2]}}
      # A drained or preempted node is no failure, nor is a pod that was asked to stop while there was work left (4).
      # Neither is done: another pod goes on with the trials.
      - action: Ignore
        onPodConditions: [{{type: DisruptionTarget, status: "True"}}]
      - action: Ignore
        onExitCodes: {{containerName: worker, operator: In, values: [4]}}
      # What is left counts against backoffLimit, and another pod is tried after a pause: 1, or 3, a machine that can't.
  template:
"""

_SECRET = """\
apiVersion: v1
kind: Secret
metadata:
  name: {secret}
  labels: {{app.kubernetes.io/name: hpo, app.kubernetes.io/instance: {name}}}
type: Opaque
stringData: {values}
"""


@dataclass(frozen=True, slots=True)
class Pods:
    """What is asked of Kubernetes."""

    image: str
    name: str = "hpo-workers"
    count: int = 1
    gpus: int = 0
    """For each pod."""
    memory: str = "4Gi"
    data: str | None = None
    """A persistent volume claim with data sets."""
    secret: str = "hpo-storage"
    """Its keys are the workers' environment, HPO_STORAGE among them."""


def manifest(order: Order, pods: Pods) -> str:
    """A Deployment if the workers are to run forever, else an Indexed Job."""
    forever = "--forever" in order.options
    limits = [f"memory: {pods.memory}"] + ([f"nvidia.com/gpu: {pods.gpus}"] if pods.gpus else [])
    pod = _POD.format(
        name=pods.name,
        image=json.dumps(pods.image),
        arguments=json.dumps(order.arguments()),
        secret=pods.secret,
        cpus=max(pods.gpus, 1) * order.per_device,
        memory=pods.memory,
        limits=", ".join(limits),
        restart="" if forever else "  restartPolicy: Never\n",
        mount="        - {name: data, mountPath: /data, readOnly: true}\n" if pods.data else "",
        volume=f"    - {{name: data, persistentVolumeClaim: {{claimName: {pods.data}}}}}\n" if pods.data else "",
    )
    head = (_DEPLOYMENT if forever else _JOB).format(name=pods.name, pods=pods.count, backoff=6 * pods.count)
    return head + "".join(f"    {line}\n" for line in pod.splitlines())


def secret(environment: Mapping[str, str], pods: Pods) -> str:
    """The Secret that the pods take their environment from."""
    return _SECRET.format(secret=pods.secret, name=pods.name, values=json.dumps(dict(environment)))


def run(text: str, kubectl: str = "kubectl") -> str:
    """Apply manifests, which kubectl reads from its standard input; returns what it says.

    Raises:
        UserError: there is no kubectl here.
        HpoError: it fails.
    """
    command = [*shlex.split(kubectl), "apply", "--server-side", "-f", "-"]  # without it a Secret is kept twice
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"{command[0]}: {error.strerror}", hint="install kubectl, or name one: --kubectl") from None
    if done.returncode != 0:
        raise HpoError(f"kubectl: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout.strip()
