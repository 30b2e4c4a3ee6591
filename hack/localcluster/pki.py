"""Keys, certificates and kubeconfigs, made with openssl. One authority signs everything."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

from localcluster.layout import Addresses, Layout

DAYS = "3650"


class Pki:
    """The keys and certificates of one cluster. What exists is kept."""

    def __init__(self, layout: Layout, addresses: Addresses) -> None:
        self.folder = layout.pki
        self._addresses = addresses

    def prepare(self) -> None:
        """Make everything that the control plane needs."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._authority()
        names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
        addresses = (
            self._addresses.control,
            self._addresses.api_service,
            self._addresses.loopback,
            "127.0.0.1",
        )
        alternatives = [*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses)]
        self.certificate("apiserver", "/CN=kube-apiserver", ",".join(alternatives))
        self.certificate("apiserver-kubelet", "/O=system:masters/CN=apiserver-kubelet")
        self.kubeconfig("admin", "/O=system:masters/CN=admin")
        self.kubeconfig("controller-manager", "/CN=system:kube-controller-manager")
        self.kubeconfig("scheduler", "/CN=system:kube-scheduler")
        if not (self.folder / "accounts.key").exists():
            _openssl("genrsa", "-out", self.path("accounts.key"), "2048")
            _openssl("rsa", "-in", self.path("accounts.key"), "-pubout", "-out", self.path("accounts.pub"))

    def path(self, name: str) -> str:
        """Return the path of a file."""
        return str(self.folder / name)

    def certificate(self, name: str, subject: str, alternatives: str = "") -> None:
        """Make NAME.key and NAME.crt for a subject, valid as a client and, with alternatives, as a server."""
        if (self.folder / f"{name}.crt").exists():
            return
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        lines = [
            "extendedKeyUsage=clientAuth,serverAuth",
            *([f"subjectAltName={alternatives}"] if alternatives else []),
        ]
        extensions.write_text("\n".join(lines) + "\n", "utf-8")
        key = (
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            self.path(f"{name}.key"),
        )
        _openssl("req", *key, "-subj", subject, "-out", str(request))
        signer = ("-CA", self.path("ca.crt"), "-CAkey", self.path("ca.key"), "-CAcreateserial", "-days", DAYS)
        _openssl(
            "x509",
            "-req",
            "-in",
            str(request),
            *signer,
            "-extfile",
            str(extensions),
            "-out",
            self.path(f"{name}.crt"),
        )
        request.unlink()
        extensions.unlink()

    def kubeconfig(self, name: str, subject: str) -> Path:
        """Make NAME.kubeconfig with a client certificate for the subject; return its path."""
        path = self.folder / f"{name}.kubeconfig"
        self.certificate(name, subject)
        if not path.exists():
            cluster = {
                "server": self._addresses.api_server,
                "certificate-authority-data": self._encoded("ca.crt"),
            }
            user = {
                "client-certificate-data": self._encoded(f"{name}.crt"),
                "client-key-data": self._encoded(f"{name}.key"),
            }
            config = {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "kip", "cluster": cluster}],
                "users": [{"name": name, "user": user}],
                "contexts": [{"name": "kip", "context": {"cluster": "kip", "user": name}}],
                "current-context": "kip",
            }
            path.write_text(json.dumps(config, indent=2), "utf-8")
            path.chmod(0o600)
        return path

    def _authority(self) -> None:
        if (self.folder / "ca.crt").exists():
            return
        key = (
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            self.path("ca.key"),
        )
        _openssl(
            "req", "-x509", *key, "-subj", "/CN=kip local cluster", "-days", DAYS, "-out", self.path("ca.crt")
        )

    def _encoded(self, name: str) -> str:
        return base64.b64encode((self.folder / name).read_bytes()).decode()


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
