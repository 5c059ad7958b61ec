"""Where things lie in the workspace bucket."""


def echogram(frame_id: str, revision: str) -> str:
    return f"frames/{frame_id}/{revision}/echogram.png"


def frame(frame_id: str, revision: str) -> str:
    return f"frames/{frame_id}/{revision}/frame.json"


def picks(frame_id: str, revision: str) -> str:
    return f"frames/{frame_id}/{revision}/picks.json"


def partial(frame_id: str, revision: str) -> str:
    return f"frames/{frame_id}/{revision}/partial.json"


def prediction(frame_id: str, revision: str, model_version: str) -> str:
    return f"predictions/{frame_id}/{revision}/{model_version}/layers.json"


def prediction_overlay(frame_id: str, revision: str, model_version: str) -> str:
    return f"predictions/{frame_id}/{revision}/{model_version}/overlay.png"


def review_labelled(loop_name: str) -> str:
    return f"reviews/{loop_name}/labelled.png"


def review_thumbnail(loop_name: str) -> str:
    return f"reviews/{loop_name}/thumbnail.png"


def correction_prefix(frame_id: str, loop_name: str) -> str:
    return f"corrections/{frame_id}/{loop_name}/"


def rejection(frame_id: str) -> str:
    return f"rejected/{frame_id}/reason.json"


def dataset_prefix(snapshot: str) -> str:
    return f"datasets/{snapshot}/"


def comparison_prefix(execution: str) -> str:
    return f"comparisons/{execution}/"


def answers_prefix(execution: str) -> str:
    """Below it, in `candidate/` and `champion/`, what both models answered on the holdout."""
    return f"answers/{execution}/"


def checkpoints_prefix(request: str, training: str) -> str:
    """Where the attempts of one request for a retraining leave off and go on, as far as they train the same."""
    return f"checkpoints/{request}/{training}/"


def export_request(export: str) -> str:
    return f"products/{export}/request.json"


def export_segments(export: str) -> str:
    """The segments of an export in the cloud, which a state machine takes one by one."""
    return f"products/{export}/segments.json"


def export_account(export: str) -> str:
    """What an export in the cloud wrote, as a whole: it is written last."""
    return f"products/{export}/export.json"


def export_segment_prefix(export: str, segment: str) -> str:
    """Below it the products of `<campaign>/<segment>`, with `export.json`, which is written last."""
    return f"products/{export}/segments/{segment}/"


def export_failure(export: str, segment: str) -> str:
    """Why the products of a segment could not be written."""
    return f"products/{export}/failed/{segment}.json"


FIRST_MODEL = "models/first/model.tar.gz"
