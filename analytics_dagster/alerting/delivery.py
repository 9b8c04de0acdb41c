"""Letters are handed to their channels, and each is crossed out at once: a crash may repeat one, and loses none."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from analytics_dagster.alerting.channels.post import Post, Receipt, UndeliveredError
from analytics_dagster.alerting.state import Letter, Memory, State
from analytics_dagster.redaction import redact

_FIRST_DELAY = 15.0
_LONGEST_DELAY = 3_600.0


@dataclass
class Delivery:
    """One round of deliveries. ``seconds`` is how long it may take before what is left waits for the next one."""

    posts: Mapping[str, Post]
    memory: Memory
    digests: Collection[str] = ()
    secrets: Collection[str] = ()
    seconds: float = 30.0
    clock: Callable[[], float] = time.monotonic
    sent: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def run(self, state: State, now: float) -> State:
        """Send what is due, each channel for itself, and return the state after that; it is kept after each letter."""
        end = self.clock() + self.seconds
        for channel in dict.fromkeys(letter.channel for letter in state.letters):
            for batch in self._batches(channel, due(state.letters, channel, now)):
                if self.clock() >= end:
                    return state
                state, goes_on = self._send(state, channel, batch, now)
                if not goes_on:
                    break
        return state

    def _batches(self, channel: str, letters: Sequence[Letter]) -> Iterator[Sequence[Letter]]:
        if channel in self.digests:
            if letters:
                yield letters
            return
        for letter in letters:
            yield [letter]

    def _send(self, state: State, channel: str, batch: Sequence[Letter], now: float) -> tuple[State, bool]:
        """Return the state after an attempt, and whether the channel takes more."""
        first = batch[0]
        try:
            receipt = self._post(state, channel, batch)
        except UndeliveredError as error:
            reason = redact(str(error), self.secrets)
            self.failed.append(f"{channel}: {reason}; attempt {first.attempts + 1} of: {first.content.headline}")
            blocked = batch if error.of_letter else [one for one in state.letters if one.channel == channel]
            state = postponed(state, blocked, now + delay(first.attempts, error.retry_after), reason)
            self.memory.write(state)
            return state, error.of_letter
        self.sent += [f"{channel}: {letter.event.value}: {letter.content.headline}" for letter in batch]
        state = delivered(state, batch, receipt)
        self.memory.write(state)
        return state, True

    def _post(self, state: State, channel: str, batch: Sequence[Letter]) -> Receipt:
        post = self.posts[channel]
        try:
            if channel in self.digests:
                post.send_digest(batch)
                return Receipt()
            # The thread as it is now: an earlier letter of this round may have begun it.
            return post.send(batch[0], state.thread(batch[0].thread))
        except UndeliveredError:
            raise
        except Exception as error:
            # Whatever a channel's library comes up with must keep neither other channels nor the tick from going on.
            raise UndeliveredError(f"{type(error).__name__}: {error}") from error


def due(letters: Sequence[Letter], channel: str, now: float) -> list[Letter]:
    """Return what a channel is to be told now, in the order of writing: nothing of a thread before what comes first."""
    found, waiting = [], set()
    for letter in letters:
        if letter.channel != channel:
            continue
        if letter.not_before > now or letter.thread in waiting:
            waiting |= {letter.thread} if letter.thread else set()
        else:
            found.append(letter)
    return found


def delay(attempts: int, retry_after: float | None) -> float:
    """Return in how many seconds a channel is asked again that has failed so often before."""
    grown = min(_FIRST_DELAY * 2.0 ** min(attempts, 20), _LONGEST_DELAY)
    return grown if retry_after is None else max(retry_after, 1.0)


def postponed(state: State, letters: Collection[Letter], until: float, reason: str) -> State:
    """Return the state in which letters wait longer, after an attempt in vain."""
    waiting = {letter.id for letter in letters}
    return replace(
        state,
        letters=tuple(
            replace(one, not_before=max(one.not_before, until), attempts=one.attempts + 1, error=reason)
            if one.id in waiting
            else one
            for one in state.letters
        ),
    )


def delivered(state: State, letters: Collection[Letter], receipt: Receipt) -> State:
    """Return the state without letters that were taken, and with what their channel calls their thread."""
    gone, threads = {letter.id for letter in letters}, {letter.thread for letter in letters}
    return replace(
        state,
        letters=tuple(one for one in state.letters if one.id not in gone),
        threads=tuple(
            replace(one, reference=receipt.reference or one.reference, place=receipt.place or one.place)
            if one.id in threads
            else one
            for one in state.threads
        ),
    )
