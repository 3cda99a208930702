"""What an agent's git can be asked to do without naming another repository, each as a line for a shell."""

from __future__ import annotations

HOSTILE = {
    "push": "git push; git push origin HEAD:main; git -C . push --force origin main; sh -c 'git push --all'",
    "push to the upstream's path": "git push --mirror; git push origin :main; git push origin --tags",
    "reset": "git reset --hard HEAD~1",
    "update-ref": "git update-ref refs/heads/main HEAD~1; git update-ref -d refs/tags/v1",
    "stash": "echo x >> first.txt; git stash; echo y >> first.txt; git stash",
    "tag": "git tag -f v1 HEAD~1; git tag mine; git tag -d v1",
    "config": "git config user.name Forged; git config --unset-all user.email; git config core.bare true",
    "branch -D": "git branch -D main feature; git branch -m task-queue/task-a other",
    "checkout -B main": "git checkout -q -B main HEAD~1; git commit -q --allow-empty -m Mine",
    "gc": "git reflog expire --expire=now --all; git gc -q --prune=now; git prune --expire=now",
    "worktree": "git worktree add -q ../mine HEAD; git worktree prune; git worktree remove --force ../mine",
    "hooks": 'd="$(git rev-parse --git-path hooks)"; mkdir -p "$d"; echo exit 1 > "$d/pre-commit"; chmod +x "$d"/*',
    "symbolic-ref": "git symbolic-ref HEAD refs/heads/main; git symbolic-ref -d refs/remotes/origin/HEAD",
    "index": "git rm -rq --cached .; git add -N .; git update-index --refresh",
    "exclude": 'echo "*" >> "$(git rev-parse --git-path info/exclude)"; git sparse-checkout set nothing',
    "remote": "git remote rename origin up; git remote remove up; git remote add owner https://example.org/x.git",
}
