"""The only room that knows Starlette: endpoints per protocol."""
