"""What is in the paths of operations."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

TaskPath = Annotated[
    str, Path(description="The id of the task.", examples=["task-20260207-120000-fix-login"])
]
SourcePath = Annotated[str, Path(description="The id of the source.", examples=["ad-hoc"])]
TokenPath = Annotated[str, Path(description="The id of the token, or its name.", examples=["0c1f3d52"])]
ArtifactPath = Annotated[str, Path(description="The name of the artifact.", examples=["log.txt"])]
ClaimPath = Annotated[
    str,
    Path(
        max_length=2000,
        description="As the claim was answered.",
        examples=["WyJhIiwidGFzay0xIiwxXQ.c2VjcmV0"],
    ),
]
