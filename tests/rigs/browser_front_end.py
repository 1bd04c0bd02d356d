"""A front end without a browser: it opens the view in a real kernel, and exchanges messages like the page."""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jupyter_client import BlockingKernelClient
from kernel import TIMEOUT, Cell, Kernel

if TYPE_CHECKING:
    from typing_extensions import Self

Message = dict[str, Any]


class FrontEnd:
    """The other end of a view's comm, with the table that the page would have.

    Args:
        kernel: a running kernel.
        code: the code that opens the view.
    """

    def __init__(self, kernel: Kernel, code: str = "browser = %hub_cache\nbrowser") -> None:
        # A separate client receives everything that the kernel sends, not only answers to a cell.
        self.client = BlockingKernelClient()
        self.client.load_connection_info(kernel.manager.get_connection_info())
        self.client.start_channels()
        self._listen()
        self.events: list[Message] = []
        self.numbers = itertools.count(1)
        self.cell: Cell = kernel.ok(code)
        opened = [m["content"] for m in self.cell.messages if m["msg_type"] == "comm_open"]
        (view,) = (one for one in opened if "_esm" in one["data"]["state"])
        self.comm = view["comm_id"]
        self.state = view["data"]["state"]
        self.load(self.state["data"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.stop_channels()
        self.client.context.destroy()

    def _listen(self) -> None:
        """Wait until the kernel's messages arrive; `wait_for_ready` would then wait 0.2 s for silence."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            self.client.kernel_info()  # busy and idle are sent to all listeners
            try:
                self.client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                continue
            return
        raise AssertionError("The kernel says nothing.")

    def load(self, data: Message) -> None:
        self.data = data
        self.header = data["header"]
        self.revision = data["revision"]
        columns = data["rows"]
        self.rows = {
            number: {name: column[at] for name, column in columns.items()}
            for at, number in enumerate(columns.get("id", ()))
        }

    @property
    def names(self) -> list[str]:
        return sorted(row["name"] for row in self.rows.values())

    def number(self, name: str) -> int:
        """Return the number of a model's row."""
        (found,) = (number for number, row in self.rows.items() if row["name"] == name)
        return found

    def row(self, name: str) -> Message:
        return self.rows[self.number(name)]

    def ask(self, do: str, **words: Any) -> Message:
        """Return the kernel's answer."""
        ask = self.send(do=do, **words)
        return self.until(lambda message: message.get("re") == ask)

    def hello(self, revision: int) -> Message:
        """Return everything that the kernel sends to a page with this old revision."""
        self.send(do="hello", revision=revision)
        return self.until(lambda message: message.get("event") == "all")["data"]

    def act(self, do: str, **words: Any) -> Message:
        """Return the job that the kernel starts, at its end."""
        reply = self.ask(do, **words)
        assert "error" not in reply, reply
        return self.end_of(reply["job"])

    def end_of(self, number: int) -> Message:
        def has_ended(message: Message) -> bool:
            job = message.get("job")
            return isinstance(job, dict) and job["number"] == number and job["state"] != "running"

        return self.until(has_ended)["job"]

    def send(self, **content: Any) -> int:
        ask = next(self.numbers)
        self.post({"method": "custom", "content": {"ask": ask, **content}})
        return ask

    def post(self, data: Message) -> None:
        content = {"comm_id": self.comm, "data": data}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", content))

    def until(self, is_it: Callable[[Message], bool]) -> Message:
        """Return the first matching message that no call has taken yet; a job may end before its answer."""
        seen = 0
        while True:
            for event in self.events[seen:]:
                if is_it(event):
                    self.events.remove(event)
                    return event
            seen = len(self.events)
            self.read()

    def measured(self) -> None:
        """Wait until the kernel has measured every entry and reported that."""
        while len(self.rows) < self.header["count"] or any(not row["state"] for row in self.rows.values()):
            self.read()

    def read(self) -> None:
        try:
            self.take(self.client.get_iopub_msg(timeout=TIMEOUT))
        except queue.Empty:
            raise AssertionError("The kernel has nothing more to say.") from None

    def take(self, message: Message) -> None:
        if message["msg_type"] != "comm_msg" or message["content"]["comm_id"] != self.comm:
            return
        data = message["content"]["data"]
        if data["method"] == "update":
            self.load(data["state"]["data"])
        elif data["method"] == "custom":
            self.events.append(data["content"])
            if data["content"].get("event") == "patch":
                self.patch(data["content"])

    def patch(self, patch: Message) -> None:
        assert patch["revision"] == self.revision + 1
        self.revision = patch["revision"]
        self.header = patch["header"]
        for number in patch["gone"]:
            del self.rows[number]
        for part in (patch["new"], patch["changed"]):
            for at, number in enumerate(part.get("id", ())):
                self.rows.setdefault(number, {}).update({name: column[at] for name, column in part.items()})
