"""What MiniStack's Cognito lacks of AWS's: the groups of a person in the tokens that a refresh token is exchanged for."""

from typing import Any


def install() -> None:
    """Put it in, before MiniStack starts."""
    from ministack.services import cognito

    sign = cognito._fake_token

    def sign_with_groups(
        sub: str, pool_id: str, client_id: str, token_type: str, username: str = "", *rest: Any, **more: Any
    ) -> Any:
        if not more.get("groups") and token_type in ("access", "id"):
            pool = cognito._get_pool_unscoped(pool_id) or {"_users": {}}
            more["groups"] = pool["_users"].get(username, {}).get("_groups", [])
        return sign(sub, pool_id, client_id, token_type, username, *rest, **more)

    cognito._fake_token = sign_with_groups
