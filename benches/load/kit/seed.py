"""The objects of a cluster: pull Secrets and what presents them."""

import base64
import json
import os
import zlib


def token(nth):
    """A classic token of GitHub with a checksum that holds."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    body = f"load{nth:026}"
    crc, checksum = zlib.crc32(body.encode()), ""
    for _ in range(6):
        checksum, crc = digits[crc % 62] + checksum, crc // 62
    return f"ghp_{body}{checksum}"


def pull_secret(nth, login, user=None):
    user, password = user or f"robot-{login}", token(login)
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    document = {"auths": {"ghcr.io": {"username": user, "password": password, "auth": auth}}}
    data = {".dockerconfigjson": base64.b64encode(json.dumps(document).encode()).decode()}
    return {"metadata": {"name": f"pull-{nth}"}, "type": "kubernetes.io/dockerconfigjson", "data": data}


def seed(cluster, size):
    def namespace(nth):
        return f"team-{nth % size.namespaces}"

    def at(nth, resource, api="api/v1"):
        return f"/{api}/namespaces/{namespace(nth)}/{resource}"

    def secrets(nth):
        here = nth % size.namespaces
        there = -(-(size.secrets - here) // size.namespaces)
        return [{"name": f"pull-{here + (nth // size.namespaces + more) % there * size.namespaces}"} for more in (0, 1)]

    def pod_spec(owner):
        images = [f"ghcr.io/org-{owner % 20}/app-{owner // 2}:v1", "ghcr.io/org-0/proxy:v3"]
        containers = [{"name": name, "image": image} for name, image in zip(("main", "proxy"), images)]
        return {"imagePullSecrets": secrets(owner), "containers": containers}

    def pod(nth):
        owner = nth % size.owners
        reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"app-{owner}-5f6d7c8b9",
                     "uid": f"00000000-0000-0000-0000-{owner:012}", "controller": True}
        labels = {"app": f"app-{owner}", "pod-template-hash": "5f6d7c8b9"}
        meta = {"name": f"app-{owner}-5f6d7c8b9-{nth:05}", "labels": labels, "ownerReferences": [reference]}
        return at(owner, "pods"), {"metadata": meta, "spec": pod_spec(owner)}

    def deployment(nth):
        labels = {"app": f"app-{nth}"}
        spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod_spec(nth)}}
        return at(nth, "deployments", "apis/apps/v1"), {"metadata": {"name": f"app-{nth}"}, "spec": spec}

    def replica_set(nth):
        labels = {"app": f"app-{nth}", "pod-template-hash": "5f6d7c8b9"}
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"app-{nth}",
                 "uid": f"00000000-0000-0000-0001-{nth:012}", "controller": True}
        spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod_spec(nth)}}
        meta = {"name": f"app-{nth}-5f6d7c8b9", "ownerReferences": [owner]}
        return at(nth, "replicasets", "apis/apps/v1"), {"metadata": meta, "spec": spec}

    def scale_set(nth):
        container = {"name": "runner", "image": f"ghcr.io/org-{nth % 20}/gha-runners:latest"}
        template = {"spec": {"imagePullSecrets": secrets(nth), "containers": [container]}}
        spec = {"githubConfigUrl": "https://github.com/org", "minRunners": 0, "template": template}
        body = {"apiVersion": "actions.github.com/v1alpha1", "kind": "AutoscalingRunnerSet",
                "metadata": {"name": f"scale-set-{nth}"}, "spec": spec}
        return at(nth, "autoscalingrunnersets", "apis/actions.github.com/v1alpha1"), body

    def noise(nth):
        blob = base64.b64encode(os.urandom(6000)).decode()
        return at(nth, "secrets"), {"metadata": {"name": f"noise-{nth}"}, "type": "Opaque", "data": {"release": blob}}

    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": schema}
    names = {"plural": "autoscalingrunnersets", "kind": "AutoscalingRunnerSet"}
    cluster.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
        "metadata": {"name": "autoscalingrunnersets.actions.github.com"},
        "spec": {"group": "actions.github.com", "scope": "Namespaced", "names": names, "versions": [version]}})
    numbers = range(size.namespaces)
    cluster.create_all("namespaces", (("/api/v1/namespaces", {"metadata": {"name": namespace(nth)}}) for nth in numbers))
    cluster.create_all("ServiceAccounts", ((at(nth, "serviceaccounts"), {"metadata": {"name": "default"}}) for nth in numbers))
    pulls = ((at(nth, "secrets"), pull_secret(nth, nth % size.logins)) for nth in range(size.secrets))
    cluster.create_all("pull Secrets", pulls)
    cluster.create_all("other Secrets", map(noise, range(size.noise)))
    cluster.create_all("Deployments", map(deployment, range(size.owners)))
    cluster.create_all("ReplicaSets", map(replica_set, range(size.owners)))
    cluster.create_all("scale sets", map(scale_set, range(size.scale_sets)))
    cluster.create_all("Pods", map(pod, range(size.pods)))
