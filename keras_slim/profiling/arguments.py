"""The arguments of a call, however the caller passed them."""


def argument(call, name, position):
    """Returns the argument of a call that has this name, or stands at this position if it was passed without."""
    return call.kwargs[name] if name in call.kwargs else call.args[position]
