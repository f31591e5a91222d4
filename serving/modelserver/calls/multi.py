"""MultiInference: several classifications and regressions of the same examples by one version.

The tasks are checked one after the other before anything runs, as the original does; then one run of the
graph answers them all. classify.py and regress.py judge signatures and answers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from serving.errors import BadInput, Unimplemented
from serving.modelserver.calls import classify, regress
from serving.modelserver.calls.call import Run
from serving.modelserver.calls.examples import INPUTS, ReadExamples, check_method_name
from serving.modelserver.calls.predict import CLASSIFY_METHOD, REGRESS_METHOD
from serving.modelserver.runtimes.protocol import DEFAULT_SIGNATURE, LoadedModel, Signature, Tensors, joined
from serving.wire.protos import MultiInferenceRequest


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to be done with the examples."""

    model: str
    signature: str
    """Empty for serving_default."""
    method: str


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What came of one task."""

    signature: str
    answer: classify.Classifications | NDArray[Any]


def on(
    model: LoadedModel,
    run: Run,
    tasks: Sequence[Task],
    read_examples: ReadExamples,
    *,
    check_method: bool = False,
) -> list[TaskResult]:
    """Do all tasks on a loaded version; the results stand in the order of the tasks.

    Raises:
        BadInput: tasks that do not fit together or to the version, no examples, answers of wrong shapes.
        Unimplemented: a method that is neither classify nor regress.
        ServingError: what a run reports.
    """
    plan = [
        (task, signature, _outputs_of(task, signature, check_method)) for task, signature in _signatures(model, tasks)
    ]
    examples = read_examples()
    found = _run_all(model, run, [(signature.name, wanted) for _, signature, wanted in plan], {INPUTS: examples})
    results = []
    for task, signature, _ in plan:
        judge = classify.checked if task.method == CLASSIFY_METHOD else regress.checked
        results.append(TaskResult(signature.name, judge(found[signature.name], len(examples))))
    return results


def _run_all(
    model: LoadedModel, run: Run, wanted: Sequence[tuple[str, Sequence[str]]], inputs: Tensors
) -> dict[str, dict[str, NDArray[Any]]]:
    """The outputs of several signatures: of one run, unless they are fed in different places."""
    if len(wanted) < 2 or not model.shares_run([name for name, _ in wanted]):
        return {name: run(name, inputs, aliases) for name, aliases in wanted}
    first = wanted[0][0]
    names = {name: {alias: alias if name == first else joined(name, alias) for alias in own} for name, own in wanted}
    answer = run(first, inputs, [name for own in names.values() for name in own.values()])
    return {name: {alias: answer[whole] for alias, whole in own.items()} for name, own in names.items()}


def _signatures(model: LoadedModel, tasks: Sequence[Task]) -> Iterator[tuple[Task, Signature]]:
    seen: set[str] = set()
    for task in tasks:
        if not task.model:
            raise BadInput("Found ModelSpec with an empty model name.")
        if task.model != tasks[0].model:
            raise BadInput("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = task.signature or DEFAULT_SIGNATURE
        if name in seen:
            raise BadInput(f"Duplicate evaluation of signature: {name}")
        seen.add(name)
        if name not in model.signatures:
            raise BadInput(f"Requested signature not found in model graph: {name}")
        yield task, model.signatures[name]


def _outputs_of(task: Task, signature: Signature, check_method: bool) -> Sequence[str]:
    if task.method not in (CLASSIFY_METHOD, REGRESS_METHOD):
        raise Unimplemented(f"Unsupported signature method_name: {task.method}")
    kind, outputs_of = (
        ("classification", classify.outputs_of)
        if task.method == CLASSIFY_METHOD
        else ("regression", regress.outputs_of)
    )
    if check_method:
        check_method_name(signature, kind, task.method)
    return outputs_of(signature)


def tasks_of(request: MultiInferenceRequest) -> list[Task]:
    """The tasks of a request message."""
    return [Task(task.model_spec.name, task.model_spec.signature_name, task.method_name) for task in request.tasks]
