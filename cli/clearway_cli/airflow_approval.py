"""The approval of a proposal as a task of Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.standard.operators.hitl import ApprovalOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

ANSWER_KEY = "answer"
"""Under this name the answer is kept, whatever it was."""


class RecordedApproval(ApprovalOperator):  # type: ignore[misc]  # no types
    """An approval that keeps a rejection too.

    Airflow's own leaves no trace of who rejected for the tasks behind it: skipping them ends the
    task before its result is kept.
    """

    def execute_complete(self, context: Context, event: dict[str, object]) -> object:
        """Keep the answer, then go on as Airflow does; it checks the answer first."""
        if "error" not in event:
            answer = {
                name: event[name]
                for name in ("chosen_options", "params_input", "responded_by_user")
            }
            context["ti"].xcom_push(key=ANSWER_KEY, value=answer)
        return super().execute_complete(context, event)
