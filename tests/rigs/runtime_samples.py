"""Environments seen on real machines, and others that mislead, with what detection must find in each."""

from hub_magic.runtime import Accelerator, Worker

ZMQ = type("ZMQInteractiveShell", (), {"__module__": "ipykernel.zmqshell"})
TERMINAL = type("TerminalInteractiveShell", (), {"__module__": "IPython.terminal.interactiveshell"})
COLAB = type("Shell", (ZMQ,), {"__module__": "google.colab._shell"})

COLAB_V5E = {
    "COLAB_TPU_1VM": "1",
    "TPU_ACCELERATOR_TYPE": "v5e-1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_ID": "0",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_HOST_BOUNDS": "1,1,1",
    "TPU_CHIPS_PER_HOST_BOUNDS": "2,2,1",
    "COLAB_RELEASE_TAG": "release-colab_20250902-060114_RC00",
    "COLAB_GPU": "",
}
COLAB_CPU = {
    "COLAB_RELEASE_TAG": "release-colab_20250902-060114_RC00",
    "COLAB_TPU_1VM": "",
    "COLAB_GPU": "",
    "COLAB_BACKEND_VERSION": "next",
    "VM_GCE_METADATA_HOST": "169.254.169.253",
    "USE_AUTH_EPHEM": "1",
    "TBE_RUNTIME_ADDR": "172.28.0.1:8011",
    "TBE_EPHEM_CREDS_ADDR": "172.28.0.1:8009",
    "TBE_CREDS_ADDR": "172.28.0.1:8008",
    "CLOUDSDK_CONFIG": "/content/.config",
    "NO_GCE_CHECK": "False",
    "GCE_METADATA_TIMEOUT": "3",
    "GCS_READ_CACHE_BLOCK_SIZE_MB": "16",
    "JPY_PARENT_PID": "81",
    "JPY_SESSION_NAME": "/content/a.ipynb",
    "COLAB_NOTEBOOK_ID": "x",
    "NVIDIA_VISIBLE_DEVICES": "all",
}
KAGGLE_V5E = {
    "ISTPUVM": "1",
    "TPU_PROCESS_ADDRESSES": "local",
    "KAGGLE_KERNEL_RUN_TYPE": "Interactive",
    "KAGGLE_USER_SECRETS_TOKEN": "x",
    "KAGGLE_DATA_PROXY_URL": "https://dp.kaggle.net",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "TPU_HOST_BOUNDS": "1,1,1",
    "TPU_CHIPS_PER_HOST_BOUNDS": "2,4,1",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_RUNTIME_METRICS_PORTS": "8431,8432,8433,8434,8435,8436,8437,8438",
}
KAGGLE_V3 = {
    **KAGGLE_V5E,
    "TPU_ACCELERATOR_TYPE": "v3-8",
    "TPU_CHIPS_PER_HOST_BOUNDS": "2,2,1",
    "TPU_RUNTIME_METRICS_PORTS": "8431,8432,8433,8434",
}
GKE_SLICE = {
    "TPU_WORKER_ID": "0",
    "TPU_WORKER_HOSTNAMES": "a,b,c,d",
    "TPU_PROCESS_ADDRESSES": "a:8471,b:8471,c:8471,d:8471",
    "TPU_HOST_BOUNDS": "1,1,4",
    "TPU_CHIPS_PER_HOST_BOUNDS": "2,2,1",
    "TPU_ACCELERATOR_TYPE": "tpu7x-32",
}
TPU_NODE = {
    "COLAB_TPU_ADDR": "10.117.35.210:8470",
    "TPU_NAME": "grpc://10.117.35.210:8470",
    "XRT_TPU_CONFIG": "tpu_worker;0;10.96.199.218:8470",
    "TBE_CREDS_ADDR": "172.28.0.1:8008",
    "COLAB_GPU": "",
}
GKE_NODE = {"KUBE_GOOGLE_CLOUD_TPU_ENDPOINTS": "grpc://10.0.0.2:8470,grpc://10.0.0.3:8470"}
GKE_SINGLE = {
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_PROCESS_ADDRESSES": "localhost:8471",
    "TPU_WORKER_ID": "0",
}
KAGGLE_GPU = {
    "KAGGLE_KERNEL_RUN_TYPE": "Interactive",
    "COLAB_RELEASE_TAG": "release-colab-external-images_20260514-060047_RC00",
    "COLAB_TPU_1VM": "",
}


def chips(
    number: int, device: str, *, vendor: str = "0x1ae0", subsystem: str = "", slot: int = 5
) -> dict[str, str]:
    """Return PCI devices as `/sys` shows them: content by path under the root."""
    files = {}
    for index in range(number):
        directory = f"sys/bus/pci/devices/0000:00:{slot + index:02x}.0"
        files |= {f"{directory}/vendor": f"{vendor}\n", f"{directory}/device": f"{device}\n"}
        if subsystem:
            files[f"{directory}/subsystem_device"] = f"{subsystem}\n"
    return files


def nodes(*paths: str) -> dict[str, str]:
    return dict.fromkeys((f"dev/{path}" for path in paths), "")


def vfio(number: int) -> dict[str, str]:
    return nodes("vfio/vfio", *(f"vfio/{index}" for index in range(number)))


V4 = chips(4, "0x005e") | nodes("accel0", "accel1", "accel2", "accel3") | {"lib/libtpu.so": ""}
V2 = chips(4, "0x0027", subsystem="0x004e") | nodes("accel0", "accel1", "accel2", "accel3")
V5E_1, V5E_8 = chips(1, "0x0063") | vfio(1), chips(8, "0x0063") | vfio(8)
GVNIC = chips(1, "0x0042", slot=4)
NOTHING = Accelerator()

LOCAL = Worker("local")
REMOTE_NODE = Worker("remote", ("grpc://10.117.35.210:8470",))
NO_WORKER = Worker()

# Samples by name: the environment, files under the root, the shell; then the expected host, accelerator and worker.
SAMPLES = {
    "colab_tpu_node": (TPU_NODE, {}, None, "colab", Accelerator("tpu"), REMOTE_NODE),
    "colab_v5e1": (COLAB_V5E, V5E_1, COLAB, "colab", Accelerator("tpu", "v5e", 1, True), LOCAL),
    "colab_v2_8": (
        COLAB_V5E | {"TPU_ACCELERATOR_TYPE": "v2-8"}, V2, COLAB, "colab", Accelerator("tpu", "v2", 4, True), LOCAL,
    ),
    "colab_v6e1": (
        COLAB_V5E | {"TPU_ACCELERATOR_TYPE": "v6e-1"}, chips(1, "0x006f") | vfio(1), COLAB,
        "colab", Accelerator("tpu", "v6e", 1, True), LOCAL,
    ),
    "colab_cpu_or_gpu_image": (COLAB_CPU, {}, None, "colab", NOTHING, NO_WORKER),
    "kaggle_v5e8": (KAGGLE_V5E, V5E_8, ZMQ, "kaggle", Accelerator("tpu", "v5e", 8, True), LOCAL),
    "kaggle_v3_8": (KAGGLE_V3, nodes("accel0"), ZMQ, "kaggle", Accelerator("tpu", "v3", 1, True), LOCAL),
    "kaggle_tpu_node": (
        {"TPU_NAME": "grpc://10.0.0.2:8470", "KAGGLE_KERNEL_RUN_TYPE": "Batch"}, {}, ZMQ,
        "kaggle", Accelerator("tpu"), Worker("remote", ("grpc://10.0.0.2:8470",)),
    ),
    "kaggle_gpu": (KAGGLE_GPU, {}, ZMQ, "kaggle", NOTHING, NO_WORKER),
    "gce_tpu_vm_v4": ({}, V4 | GVNIC, None, "script", Accelerator("tpu", "v4", 4, True), LOCAL),
    "gce_tpu_vm_pod_worker0": (
        {"TPU_NAME": "my-pod", "TPU_LOAD_LIBRARY": "0"}, V4, None,
        "script", Accelerator("tpu", "v4", 4, True), Worker("multi-host", ("my-pod",)),
    ),
    "gke_multihost": (
        GKE_SLICE, chips(4, "0x0076"), None,
        "script", Accelerator("tpu", "tpu7x", 4, True), Worker("multi-host", ("a", "b", "c", "d")),
    ),
    "gke_single": (GKE_SINGLE, V5E_1, None, "script", Accelerator("tpu", "v5e", 1, True), LOCAL),
    "gke_tpu_node": (
        GKE_NODE, {}, None,
        "script", Accelerator("tpu"), Worker("remote", ("grpc://10.0.0.2:8470", "grpc://10.0.0.3:8470")),
    ),
    "kuberay_name_only": ({"TPU_NAME": "my-slice"}, V4, None, "script", Accelerator("tpu", "v4", 4, True), LOCAL),
    "name_local": ({"TPU_NAME": "local"}, V4, None, "script", Accelerator("tpu", "v4", 4, True), LOCAL),
    "vscode_wsl": ({"VSCODE_CWD": "/home/u"}, {}, ZMQ, "vscode", NOTHING, NO_WORKER),
    "colab_enterprise": (
        COLAB_CPU | {"VERTEX_PRODUCT": "COLAB_ENTERPRISE"}, {}, ZMQ, "colab-enterprise", NOTHING, NO_WORKER,
    ),
    "workbench": ({"VERTEX_PRODUCT": "WORKBENCH_INSTANCE"}, {}, ZMQ, "workbench", NOTHING, NO_WORKER),
    # Environments that look like a TPU but have none.
    "gvnic_only": ({}, GVNIC, ZMQ, "jupyter", NOTHING, NO_WORKER),
    "other_makers_npu": ({"TPU_NAME": "my-slice"}, nodes("accel/accel0"), ZMQ, "jupyter", NOTHING, NO_WORKER),
    "gpu_given_to_a_virtual_machine": (
        {}, chips(1, "0x20b0", vendor="0x10de") | nodes("vfio/11", "vfio/vfio"), ZMQ, "jupyter", NOTHING, NO_WORKER,
    ),
    "jax_imported": ({"TPU_SKIP_MDS_QUERY": "1"}, vfio(1), ZMQ, "jupyter", NOTHING, NO_WORKER),
    "torch_xla_imported": ({"PJRT_DEVICE": "CPU"}, {}, TERMINAL, "terminal", NOTHING, NO_WORKER),
    "libtpu_without_chips": ({}, {"lib/libtpu.so": ""}, None, "script", NOTHING, NO_WORKER),
    "colab_with_kaggle_credentials": (
        COLAB_CPU | {"KAGGLE_USERNAME": "u", "KAGGLE_KEY": "k"}, {}, COLAB, "colab", NOTHING, NO_WORKER,
    ),
    "bus_is_no_directory": ({}, {"sys/bus/pci/devices": ""}, None, "script", NOTHING, NO_WORKER),
    "vendor_is_no_file": ({}, {"sys/bus/pci/devices/0000:00:05.0/vendor/x": ""}, None, "script", NOTHING, NO_WORKER),
    # Other misleading environments.
    "tpu_expected_but_not_visible": (
        KAGGLE_V5E, {}, ZMQ, "kaggle", Accelerator("tpu", "v5e", 0, visible=False), LOCAL,
    ),
    "node_numbers_without_bus": (KAGGLE_V5E, vfio(8), ZMQ, "kaggle", Accelerator("tpu", "v5e", 8, True), LOCAL),
    "processes_of_one_machine": (
        {"TPU_PROCESS_ADDRESSES": "localhost:8476,localhost:8477"}, V4, None,
        "script", Accelerator("tpu", "v4", 4, True), LOCAL,
    ),
    "slice_without_visible_chips": (
        GKE_SLICE, {}, None, "script", Accelerator("tpu", "tpu7x"), Worker("multi-host", ("a", "b", "c", "d")),
    ),
    "colab_tpu_node_by_address_only": (
        {"COLAB_TPU_ADDR": "10.117.35.210:8470"}, {}, None, "colab", Accelerator("tpu"), REMOTE_NODE,
    ),
    "kaggle_variable_on_colab": (
        COLAB_CPU | {"KAGGLE_KERNEL_RUN_TYPE": "Batch"}, {}, COLAB, "colab", NOTHING, NO_WORKER,
    ),
    "kernel_without_shell": ({"JPY_PARENT_PID": "81"}, {}, None, "jupyter", NOTHING, NO_WORKER),
    "terminal_of_vscode": ({"VSCODE_PID": "7"}, {}, TERMINAL, "terminal", NOTHING, NO_WORKER),
    "gpu": ({}, nodes("nvidiactl", "nvidia0", "nvidia1"), ZMQ, "jupyter", Accelerator("gpu", "", 2, True), LOCAL),
    "gpu_hidden": (
        {"CUDA_VISIBLE_DEVICES": "-1"}, {"proc/driver/nvidia/version": ""} | nodes("nvidia0"), ZMQ,
        "jupyter", Accelerator("gpu", "", 1, visible=False), LOCAL,
    ),
}  # fmt: skip
