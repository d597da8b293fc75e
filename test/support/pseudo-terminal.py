"""
A terminal for one program, as a shell in it would start it: a pseudo-terminal with a session of its own and the program
as its foreground job, so that stopping and going on work as they do for people. Driven by lines of JSON.

  usage: pseudo-terminal.py ROWS COLUMNS PROGRAM ARGUMENTS...

  in   {"send": TEXT}  {"size": [ROWS, COLUMNS]}  {"signal": NAME}  {"continue": true}  {"hangup": true}  {"modes": true}
  out  {"output": TEXT}  {"modes": [...]}  {"stopped": NAME}  {"exited": CODE}  {"killed": NAME}

Bytes are ISO 8859-1 in JSON, so that none is changed. References: pty(7), credentials(7), tcsetpgrp(3), termios(3).
"""
import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios


def tell(**event):
    os.write(1, (json.dumps(event) + "\n").encode())


def set_size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def run_shell(slave, report, argv):
    """The session's leader: starts the job in the foreground, hands a hang-up on, and tells what becomes of it."""
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, lambda *_: job and os.killpg(job, signal.SIGHUP))
    job = 0
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(slave, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
        os.closerange(3, 256)
        os.execvp(argv[0], argv)
    os.write(report, (json.dumps({"job": job}) + "\n").encode())
    os.close(slave)
    # Whoever waits for the driver's output to end does not wait for this process.
    nothing = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            event = {"stopped": signal.Signals(os.WSTOPSIG(status)).name}
        elif os.WIFSIGNALED(status):
            event = {"killed": signal.Signals(os.WTERMSIG(status)).name}
        else:
            event = {"exited": os.WEXITSTATUS(status)}
        os.write(report, (json.dumps(event) + "\n").encode())
        if not os.WIFSTOPPED(status):
            os._exit(0)


class Driver:
    def __init__(self, master, report):
        self.master = master
        self.report = report
        self.job = None

    def modes(self):
        iflag, oflag, cflag, lflag, _, _, characters = termios.tcgetattr(self.master)
        return [iflag, oflag, cflag, lflag, [c.hex() if isinstance(c, bytes) else c for c in characters]]

    def obey(self, command):
        if "send" in command:
            os.write(self.master, command["send"].encode("latin-1"))
        elif "size" in command:
            set_size(self.master, *command["size"])
        elif "signal" in command:
            os.kill(self.job, getattr(signal, command["signal"]))
        elif "continue" in command:
            os.killpg(self.job, signal.SIGCONT)
        elif "hangup" in command:
            os.close(self.master)
            self.master = None
        elif "modes" in command:
            tell(modes=self.modes())

    def handle_report(self, line):
        event = json.loads(line)
        if "job" in event:
            self.job = event["job"]
            return True
        if "stopped" not in event:
            self.drain()
        tell(**event)
        return "stopped" in event

    def drain(self):
        """What the program wrote before its end."""
        while self.master is not None and select.select([self.master], [], [], 0)[0]:
            if not self.read_output():
                return

    def read_output(self):
        try:
            data = os.read(self.master, 65536)
        except OSError:
            data = b""
        if data:
            tell(output=data.decode("latin-1"))
        return bool(data)

    def run(self):
        commands, reports = b"", b""
        modes_before = self.modes()
        tell(modes=modes_before)
        listening = True
        while listening:
            fds = [0, self.report] + ([] if self.master is None else [self.master])
            ready = select.select(fds, [], [])[0]
            if self.master is not None and self.master in ready:
                if not self.read_output():
                    os.close(self.master)
                    self.master = None
            if self.report in ready:
                reports += os.read(self.report, 65536)
                *lines, reports = reports.split(b"\n")
                for line in lines:
                    listening = self.handle_report(line) and listening
            if 0 in ready and self.job is not None:
                data = os.read(0, 65536)
                if not data:
                    os.kill(self.job, signal.SIGKILL)
                    return
                commands += data
                *lines, commands = commands.split(b"\n")
                for line in lines:
                    self.obey(json.loads(line))
        if self.master is not None:
            tell(modes=self.modes())


def main():
    rows, columns = int(sys.argv[1]), int(sys.argv[2])
    master, slave = pty.openpty()
    set_size(master, rows, columns)
    report, reported = os.pipe()
    shell = os.fork()
    if shell == 0:
        os.close(master)
        run_shell(slave, reported, sys.argv[3:])
    # The slave stays open here, so that its modes can be read after the program's end.
    driver = Driver(master, report)
    try:
        driver.run()
    finally:
        try:
            os.waitpid(shell, 0)
        except ChildProcessError:
            pass


main()
