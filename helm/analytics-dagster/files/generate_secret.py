"""Creates the Secret with generated passwords: generate_secret.py NAMESPACE NAME KEY,KEY,...

An existing Secret is not changed, whoever created it; it must contain the keys.
"""

import base64
import secrets
import sys

from kubernetes import client, config

EXISTS = 409


def main(namespace: str, name: str, keys: list[str]) -> str | None:
    """Create the Secret if it does not exist; return the error, or None."""
    config.load_incluster_config()
    api = client.CoreV1Api()
    made = client.V1Secret(
        api_version="v1",
        kind="Secret",
        metadata=client.V1ObjectMeta(name=name),
        type="Opaque",
        data={key: base64.b64encode(secrets.token_hex(24).encode()).decode() for key in keys},
    )
    try:
        api.create_namespaced_secret(namespace, made)
    except client.ApiException as error:
        if error.status != EXISTS:
            raise
    else:
        print(f"Created the Secret {name}")
        return None
    missing = sorted(set(keys) - set(api.read_namespaced_secret(name, namespace).data or {}))
    if missing:
        return (
            f"The Secret {name} exists but lacks {', '.join(missing)}; add them, or name another Secret in the values "
            "(postgresql.existingSecret, s3.existingSecret)"
        )
    print(f"The Secret {name} exists and is not changed")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3].split(",")))
