"""The store of one deployment: its parts share one pipeline, one key space, one audit key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from redis.asyncio import BlockingConnectionPool

from approvals.encryption import WrappingKey
from approvals.signing import Marks, keyed_hash
from approvals.store.budgets import Budgets
from approvals.store.due import DueQueue
from approvals.store.health import Demands, Health
from approvals.store.key_uses import KeyUses
from approvals.store.keys import Keys
from approvals.store.log import Log
from approvals.store.message_refs import MessageRefs
from approvals.store.outbox import Outbox
from approvals.store.pipeline import Confirmation, Pipeline
from approvals.store.policies import Policies
from approvals.store.processes import ProcessRegistry
from approvals.store.receipts import ReceiptBook
from approvals.store.records import Records
from approvals.store.rewriting import AppendOnlyFile
from approvals.store.scripts import Scripts
from approvals.store.subject_keys import SubjectKeys
from approvals.store.system import SystemRecord


@dataclass(frozen=True, slots=True)
class StoreSecrets:
    """Keys that Redis never sees: of entry MACs, of the hashes in names, of subjects' keys."""

    audit: bytes
    pseudonym: bytes
    vault: bytes


@dataclass(frozen=True, slots=True)
class Store:
    """Everything that is kept, by what it is."""

    keys: Keys
    marks: Marks
    records: Records
    subject_keys: SubjectKeys
    budgets: Budgets
    outbox: Outbox
    deadlines: DueQueue
    callbacks: DueQueue
    cards: DueQueue
    refs: MessageRefs
    receipts: ReceiptBook
    log: Log
    system: SystemRecord
    policies: Policies
    processes: ProcessRegistry
    key_uses: KeyUses
    health: Health
    append_only: AppendOnlyFile
    pipeline: Pipeline

    @classmethod
    def over(
        cls,
        pool: BlockingConnectionPool,
        namespace: str,
        secrets: StoreSecrets,
        demands: Demands,
        confirm_within_ms: int = 200,
    ) -> Self:
        """The store behind a connection pool. Opens nothing by itself."""
        keys = Keys(namespace)
        marks = Marks(secrets.pseudonym)
        is_replicated = demands.durability == "replica"
        confirmation = Confirmation(demands.replicas, confirm_within_ms)
        pipeline = Pipeline(pool, confirmation if is_replicated else None)
        scripts = Scripts(pipeline, keys, confirm_reads=is_replicated)
        passing = Pipeline(pool) if is_replicated else pipeline
        fingerprints = {
            "PLACET_AUDIT_KEY": keyed_hash(secrets.audit, "fingerprint", namespace),
            "PLACET_PSEUDONYM_KEY": keyed_hash(secrets.pseudonym, "fingerprint", namespace),
            "PLACET_VAULT_KEY": keyed_hash(secrets.vault, "fingerprint", namespace),
        }
        return cls(
            keys=keys,
            marks=marks,
            records=Records(pipeline, scripts, keys, secrets.audit, marks),
            subject_keys=SubjectKeys(pipeline, keys, marks, WrappingKey(secrets.vault)),
            # Without confirmation: what was taken need not last.
            budgets=Budgets(Scripts(passing, keys), keys, marks),
            outbox=Outbox(pipeline, scripts, keys, secrets.audit),
            deadlines=DueQueue(scripts, "deadlines"),
            callbacks=DueQueue(scripts, "callbacks"),
            cards=DueQueue(scripts, "cards"),
            refs=MessageRefs(pipeline, scripts, keys),
            receipts=ReceiptBook(pipeline, keys, marks),
            log=Log(pipeline, keys),
            system=SystemRecord(scripts, keys, secrets.audit),
            policies=Policies(pipeline, scripts, keys),
            # Without confirmation: what is told anew every few seconds need not last.
            processes=ProcessRegistry(Pipeline(pool), keys),
            key_uses=KeyUses(passing, keys),
            # Without confirmation: a check must be able to name what keeps a WAIT short.
            health=Health(Pipeline(pool), keys, fingerprints, demands),
            append_only=AppendOnlyFile(Pipeline(pool)),
            pipeline=pipeline,
        )

    async def close(self) -> None:
        """Lets commits in flight end, then closes the connections."""
        await self.system.close()
        await self.key_uses.close()
        await self.pipeline.close()
