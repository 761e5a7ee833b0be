"""What would change that a room does not stand: a sentence, and a command or setting to be pasted.

Zone: controller. Settings of the machine are read here alone, and only of what failed already: no
decision hangs on them.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Hint:
    """room: as `safe-load doctor` names it, "" for this machine. command: for a shell, or a setting
    where the text says whose; "" where neither would help."""

    room: str
    text: str
    command: str = ""


#: What would help: a sentence and a command, either of which may be empty.
Help = tuple[str, str]
_NONE: Help = ("", "")
_NO_LIBSECCOMP = "libseccomp cannot be loaded"
_SESSION = "/etc/safe-load/gvisor.json"


def is_wsl() -> bool:
    """Whether this kernel is Microsoft's, as in WSL2 and in the containers there."""
    return "microsoft" in (_read("/proc/version") or "").lower()


def for_native(tier: str, reason: str) -> Help:
    """For a native room that does not stand for that reason."""
    if _NO_LIBSECCOMP in reason:
        return _libseccomp()
    if "no seccomp notifications" in reason or "not implemented" in reason:
        return _TOO_OLD
    if "Landlock" in reason:
        return _landlock(tier)
    if "TMPDIR" in reason:
        return _FOLDER
    if "one listener" in reason:
        return _listener()
    if "recorder" in reason and _read("/proc/sys/kernel/yama/ptrace_scope") in ("2", "3"):
        return _YAMA
    return _namespaces(refused="namespaces" in reason) if tier == "A" else _NONE


def for_docker(reason: str, image: str, runtime: str | None) -> Help:
    """For a room in a container that does not stand for that reason."""
    if _NO_LIBSECCOMP in reason:
        return _libseccomp()
    if "safe-load[docker]" in reason:
        python = shlex.quote(sys.executable)
        return "The Docker client library is an optional extra:", (
            f"{python} -m pip install 'safe-load[docker]'"
        )
    if "refused the connection (permission denied)" in reason:
        return _GROUP
    if "no container engine answers" in reason:
        return _engine()
    if "knows no runtime" in reason and not (runtime or "").startswith("runsc"):
        return "To use the engine's default runtime instead:", "unset SAFE_LOAD_RUNTIME"
    if runtime is not None and ("knows no runtime" in reason or "is registered with" in reason):
        return to_register(runtime)
    if "safe-load cannot listen for gVisor's trace" in reason:
        return "Create the folder that receives gVisor's trace:", _LISTENING
    if "the image " in reason or "has no image" in reason:
        return (
            "In a checkout of this version of safe-load:",
            f"make image ARGS={shlex.quote(f'--tag {image}')}",
        )
    return _NONE


def to_register(runtime: str = "runsc") -> Help:
    """How gVisor becomes a runtime of the engine's whose rooms can be recorded."""
    steps = (
        _LISTENING,
        (
            f"{shlex.quote(sys.executable)} -m safe_load.sandbox.backends.gvisor.trace"
            f" | sudo install -D -m 644 /dev/stdin {_SESSION}"
        ),
        (
            f"sudo runsc install --runtime={shlex.quote(runtime)} --"
            f" --platform=ptrace --network=none --pod-init-config={_SESSION}"
        ),
        "sudo systemctl reload docker",
    )
    where = "" if shutil.which("runsc") else " once the package runsc is installed"
    return (
        f"To register gVisor{where} (docs/backends.md says what each step is for):",
        " && ".join(steps),
    )


def _namespaces(*, refused: bool) -> Help:
    """What keeps tier A from standing, as far as it can be seen. refused: it is the namespaces that
    cannot be made, and not something in them."""
    wrong = [
        (setting, why) for path, bad, setting, why in _SETTINGS if refused and _read(path) in bad
    ]
    command = " ".join(("sudo sysctl -w", *(setting for setting, _ in wrong)))
    # Marks of containers are also on machines that were made from an image; their filter is not.
    if wrong and not _is_filtered():
        return f"{' '.join(why for _, why in wrong)} {_FOR_GOOD}", command
    first = f"On the container's host, run: {command}. Then: " if wrong else ""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return first + _IN_A_POD[0], _IN_A_POD[1]
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return first + _IN_A_CONTAINER[0], _IN_A_CONTAINER[1]
    if not Path("/proc/self/ns/user").exists():
        return (
            "This kernel has no user namespaces: use a kernel that was built with CONFIG_USER_NS=y.",
            "",
        )
    if _is_filtered():
        return (
            "A seccomp filter around safe-load forbids namespaces: start safe-load outside of that sandbox.",
            "",
        )
    return _NONE


def _is_filtered() -> bool:
    """Whether a seccomp filter is above this process, as in every engine's default container."""
    return "\nSeccomp:\t2" in (_read("/proc/self/status") or "")


def _landlock(tier: str) -> Help:
    modules = _read("/sys/kernel/security/lsm") or ""
    if modules and "landlock" not in modules.split(","):
        setting = f"lsm=landlock,{modules}"
        text = "Landlock is in this kernel, but the kernel's parameters switch it off. Add this parameter"
        if is_wsl():
            return f"{text} in %UserProfile%\\.wslconfig below [wsl2], then run wsl --shutdown:", (
                f"kernelCommandLine={setting}"
            )
        return (
            f"{text} to GRUB_CMDLINE_LINUX in /etc/default/grub, then update GRUB and reboot:",
            setting,
        )
    needed = {"A": (5, 13), "B": (6, 2)}[tier]
    if _kernel() >= needed:
        return (
            (
                "This kernel is new enough for Landlock, but does not offer it: it was built or started without, or a seccomp "
                "filter around safe-load forbids it. To see which:"
            ),
            (
                'grep LANDLOCK "/boot/config-$(uname -r)"; cat /sys/kernel/security/lsm; '
                "grep Seccomp: /proc/self/status"
            ),
        )
    text = (
        f"Tier {tier} needs the Landlock of Linux {'.'.join(map(str, needed))} or newer; this is "
        f"{platform.release()}"
    )
    if is_wsl():
        return f"{text}. In Windows:", "wsl --update"
    release = _os_release()
    if release.get("ID") == "ubuntu":
        package = f"linux-generic-hwe-{release.get('VERSION_ID', '')}"
        return (
            f"{text}. To install a newer kernel for this Ubuntu:",
            f"sudo apt-get install {package}",
        )
    return f"{text}.", ""


def _kernel() -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])


def _listener() -> Help:
    if is_wsl():
        return (
            (
                "WSL's mirrored network takes the only seccomp listener. Set this in %UserProfile%\\.wslconfig below "
                "[wsl2], then run wsl --shutdown:"
            ),
            "networkingMode=nat",
        )
    return (
        "Another sandbox around safe-load takes the only seccomp listener: start safe-load outside of that sandbox.",
        "",
    )


def libseccomp_needed(error: object) -> str:
    """Why no filter can be compiled, with the command that helps."""
    text, command = _libseccomp()
    return f"{_NO_LIBSECCOMP} ({error}). {text} {command}".rstrip()


def _libseccomp() -> Help:
    for name in _likes():
        if name in _INSTALL:
            command, package = _INSTALL[name]
            return "safe-load needs the system library libseccomp:", f"sudo {command} {package}"
    return "Install libseccomp 2.5 or newer.", ""


def _engine() -> Help:
    if "DOCKER_HOST" in os.environ:
        return "To use the engine of this machine:", "unset DOCKER_HOST"
    if platform.system() == "Darwin":
        return "Start the engine:", "open -a Docker"
    if shutil.which("dockerd"):
        return "Start the engine:", "sudo systemctl start docker"
    if "debian" in _likes():
        return "Needed only for rooms in containers:", "sudo apt-get install docker.io"
    return "Needed only for rooms in containers: install Docker 20.10 or newer.", ""


def _likes() -> tuple[str, ...]:
    """The names of this system and of those it is made from (os-release(5))."""
    release = _os_release()
    return (release.get("ID", ""), *release.get("ID_LIKE", "").split())


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text("ascii", "replace").strip()
    except OSError:
        return None


_LISTENING = "sudo install -d -g docker -m 2770 /run/safe-load"
_GROUP: Help = (
    "Members of this group can become root. To add this user, and to use the group in this shell:",
    'sudo usermod -aG docker "$USER" && newgrp docker',
)
_YAMA: Help = (
    "Yama (kernel.yama.ptrace_scope) keeps the recorder from reading the arguments of calls; the value 3 changes only at a reboot:",
    "sudo sysctl -w kernel.yama.ptrace_scope=1",
)
_TOO_OLD: Help = (
    (
        "This kernel is too old, or a seccomp filter around safe-load hides its calls: safe-load needs Linux 5.13, libseccomp "
        "2.5, and no other sandbox around itself. To see what this machine has:"
    ),
    "uname -r; grep Seccomp: /proc/self/status",
)
_FOLDER: Help = (
    "Set TMPDIR to a folder that you can write to; in a container, --tmpfs /tmp gives one:",
    'export TMPDIR="$HOME"',
)
_FOR_GOOD = "This command holds until the next reboot; a file in /etc/sysctl.d keeps the setting:"
_IN_A_CONTAINER: Help = (
    (
        "This is a container, and its engine's defaults allow only tier B. For tier A, start "
        "the container with these options, or run safe-load outside with --backend docker:"
    ),
    (
        "--security-opt seccomp=unconfined --security-opt apparmor=unconfined "
        "--security-opt systempaths=unconfined"
    ),
)
_IN_A_POD: Help = (
    (
        "This is a pod, and its defaults allow only tier B. For tier A, set this in the container's "
        "securityContext (procMount needs hostUsers: false in the pod):"
    ),
    (
        "{procMount: Unmasked, seccompProfile: {type: Unconfined}, "
        "appArmorProfile: {type: Unconfined}}"
    ),
)
#: System -> how it installs, and what libseccomp is called there.
_INSTALL = {
    "debian": ("apt-get install", "libseccomp2"),
    "ubuntu": ("apt-get install", "libseccomp2"),
    "fedora": ("dnf install", "libseccomp"),
    "rhel": ("dnf install", "libseccomp"),
    "suse": ("zypper install", "libseccomp2"),
    "arch": ("pacman -S", "libseccomp"),
    "alpine": ("apk add", "libseccomp"),
}
#: path, values that stand in the way, what would help, why it is so.
_SETTINGS = (
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        ("1",),
        "kernel.apparmor_restrict_unprivileged_userns=0",
        "AppArmor keeps ordinary users from making namespaces (Ubuntu 23.10 and newer).",
    ),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        ("0",),
        "kernel.unprivileged_userns_clone=1",
        "User namespaces are switched off for ordinary users.",
    ),
    *(
        (
            f"/proc/sys/user/max_{kind}_namespaces",
            ("0",),
            f"user.max_{kind}_namespaces=15000",
            f"Namespaces of the kind {kind} are switched off.",
        )
        for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
    ),
)
