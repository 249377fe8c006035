"""Workers in Kubernetes: a Deployment that serves whatever is launched, or a Job that ends when nothing is left.

`deploy/kubernetes` holds the same manifests for kustomize. YAML is written here as text; what comes from outside stands
in it as a quoted string, so that a name such as 123 or true is none of YAML's own values.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hpo.errors import HpoError, UserError
from hpo.launch.request import WorkerRequest, words

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
        requests: {{cpu: {cpus}, memory: {memory}}}
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
      # Exit code 2 is something a person must fix: a wrong URL or password. Trying again would not help.
      - action: FailJob
        onExitCodes: {{containerName: worker, operator: In, values: [2]}}
      # A drained or preempted node is not a failure, nor is a pod that was asked to stop while work was left (4).
      # Neither is done: another pod continues the trials.
      - action: Ignore
        onPodConditions: [{{type: DisruptionTarget, status: "True"}}]
      - action: Ignore
        onExitCodes: {{containerName: worker, operator: In, values: [4]}}
      # All other codes count against backoffLimit, and another pod is tried after a pause: 1, or 3 for a bad machine.
  template:
"""

_SECRET = """\
apiVersion: v1
kind: Secret
metadata:
  name: {secret}
  labels: {{app.kubernetes.io/name: hpo, app.kubernetes.io/instance: {name}}}
type: Opaque
stringData: {{{values}}}
"""

NAME = r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?"
IMAGE = r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*"
QUANTITY = r"[0-9]+(\.[0-9]+)?([KMGTPE]i|[mkMGTPE]|[eE][0-9]+)?"
CLAIM = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"


@dataclass(frozen=True, slots=True)
class Pods:
    """What is asked of Kubernetes."""

    image: str
    name: str = "hpo-workers"
    count: int = 1
    gpus: int = 0
    """What each pod is given."""
    memory: str = "4Gi"
    data: str | None = None
    """A persistent volume claim with data sets."""
    secret: str = "hpo-storage"
    """Its keys are the workers' environment, HPO_STORAGE among them."""

    def __post_init__(self) -> None:
        for option, value, pattern, allowed in (
            ("--image", self.image, IMAGE, "REGISTRY/NAME:TAG"),
            ("--name", self.name, NAME, "at most 52 of a-z, 0-9 and -, beginning and ending with a letter or digit"),
            ("--memory", self.memory, QUANTITY, "a quantity such as 4Gi or 500M"),
            ("--data", self.data, CLAIM, "the name of a claim, made of a-z, 0-9, - and ."),
        ):
            if value is not None and not re.fullmatch(pattern, value):
                raise UserError(f"{option} {value!r}: allowed is {allowed}")


def manifest(request: WorkerRequest, pods: Pods) -> str:
    """A Deployment if the workers are to run forever, else an Indexed Job."""
    forever = "--forever" in request.options
    name, memory = _string(pods.name), _string(pods.memory)
    limits = [f"memory: {memory}"] + ([f"nvidia.com/gpu: {pods.gpus}"] if pods.gpus else [])
    mount = "        - {name: data, mountPath: /data, readOnly: true}\n"
    volume = f"    - {{name: data, persistentVolumeClaim: {{claimName: {_string(pods.data or '')}}}}}\n"
    pod = _POD.format(
        name=name,
        image=_string(pods.image),
        arguments=_arguments(request.arguments()),
        secret=_string(pods.secret),
        cpus=_string(str(max(pods.gpus, 1) * request.per_device)),
        memory=memory,
        limits=", ".join(limits),
        restart="" if forever else "  restartPolicy: Never\n",
        mount=mount if pods.data else "",
        volume=volume if pods.data else "",
    )
    head = (_DEPLOYMENT if forever else _JOB).format(name=name, pods=pods.count, backoff=6 * pods.count)
    return head + "".join(f"    {line}\n" for line in pod.splitlines())


def secret(environment: Mapping[str, str], pods: Pods) -> str:
    """The Secret that the pods take their environment from."""
    values = [f"{_string(name)}: {_string(value)}" for name, value in environment.items()]
    return _SECRET.format(secret=_string(pods.secret), name=_string(pods.name), values=", ".join(values))


def _string(text: str) -> str:
    """A quoted string of YAML: as in JSON, but for the characters beyond ASCII, which JSON may write in halves."""
    escaped = json.dumps(text, ensure_ascii=False)
    return re.sub(r"[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", escaped)


def _arguments(arguments: Iterable[str]) -> str:
    """Kubernetes would put a variable, such as the storage URL, in place of $(NAME), and takes $$ for $."""
    return "[" + ", ".join(_string(argument.replace("$", "$$")) for argument in arguments) + "]"


def submit(text: str, kubectl: str = "kubectl") -> str:
    """Apply manifests, which kubectl reads from its standard input; returns what it says.

    Raises:
        UserError: there is no kubectl here.
        HpoError: it fails.
    """
    command = [*words("--kubectl", kubectl), "apply", "--server-side", "-f", "-"]  # without it a Secret is kept twice
    try:
        done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", errors="replace", check=False)
    except OSError as error:
        raise UserError(
            f"{command[0]}: {error.strerror}", hint="install kubectl, or give its path: --kubectl"
        ) from None
    if done.returncode != 0:
        raise HpoError(f"kubectl: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout.strip()
