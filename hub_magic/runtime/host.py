"""The host: whose notebook, terminal or script this kernel runs in.

Names lie: Kaggle's images are built from Colab's and keep its variables and its `google.colab` package, and
Colab's images set TPU variables to empty strings where there is no TPU. So Kaggle is asked before Colab's
variables, and values count, not presence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Host: TypeAlias = Literal[
    "colab", "colab-enterprise", "workbench", "kaggle", "vscode", "jupyter", "terminal", "script"
]

# Source: `google/colab/auth.py` in googlecolab/colabtools.
_VERTEX_PRODUCTS: dict[str, Host] = {
    "COLAB_ENTERPRISE": "colab-enterprise",
    "WORKBENCH_INSTANCE": "workbench",
}


def find_host(env: Mapping[str, str], shell: type | None) -> tuple[Host, str]:
    """The host, and the signal that told it ("" for a script, which nothing tells).

    A child process inherits its notebook's variables: a script started from a Colab cell is in "colab".

    Args:
        env: the environment.
        shell: the class of the IPython shell, or None outside IPython.
    """
    return _cloud_host(env, shell) or _local_host(env, shell)


def _cloud_host(env: Mapping[str, str], shell: type | None) -> tuple[Host, str] | None:
    product = env.get("VERTEX_PRODUCT", "")
    if product in _VERTEX_PRODUCTS:
        return _VERTEX_PRODUCTS[product], f"VERTEX_PRODUCT={product}"
    if shell and any(cls.__module__ == "google.colab._shell" for cls in shell.__mro__):
        return "colab", "shell google.colab._shell"
    # COLAB_TPU_ADDR is the only one of these known from the time of Colab's TPU Nodes.
    for name in ("KAGGLE_KERNEL_RUN_TYPE", "COLAB_RELEASE_TAG", "COLAB_TPU_1VM", "COLAB_TPU_ADDR"):
        if env.get(name):
            return "kaggle" if name.startswith("KAGGLE") else "colab", f"{name}={env[name]}"
    return None


def _local_host(env: Mapping[str, str], shell: type | None) -> tuple[Host, str]:
    if shell and not any(cls.__name__ == "ZMQInteractiveShell" for cls in shell.__mro__):
        return "terminal", f"shell {shell.__name__}"
    # VSCODE_PID is missing in WSL and in containers (holoviz/panel#5200).
    for name in ("VSCODE_PID", "VSCODE_CWD"):
        if env.get(name):
            return "vscode", f"{name}={env[name]}"
    if shell:
        return "jupyter", f"shell {shell.__name__}"
    parent = env.get("JPY_PARENT_PID")
    return ("jupyter", f"JPY_PARENT_PID={parent}") if parent else ("script", "")
