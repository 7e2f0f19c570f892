"""Families of things that can be given by name: criteria, de-biasing, schedules.

Every family has one `Registry`. It turns what a user may write (a string, a class, an instance, a dictionary from
`get_config`, or a plain function where the family knows how to wrap one) into an instance, and back.
"""

import inspect

from keras_slim.errors import did_you_mean, invalid_argument, one_of


class Registry:
    """The members of one family, by alias.

    Args:
        family: What a member is, as error messages call it, e.g. `"criterion"`.
        base: Class that every member derives from.
        wrap_function: Turns a plain function into a member. Optional.
        other_names: Dictionary of words, in lower case, that people use to what they are told to do then. Optional.

    Example:

    >>> class Shape: pass
    >>> shapes = Registry("shape", Shape)
    >>> @shapes.register("circle")
    ... class Circle(Shape): pass
    >>> type(shapes.get("circle", "shape", "draw")).__name__
    'Circle'
    """

    def __init__(self, family, base, wrap_function=None, other_names=None):
        self.family = family
        self.base = base
        self.wrap_function = wrap_function
        self.other_names = other_names or {}
        self._classes = {}

    def register(self, alias):
        """Returns a class decorator that adds the class under `alias`."""

        def decorator(cls):
            if alias in self._classes:
                raise ValueError(f"A {self.family} named {alias!r} is registered already. Choose another name.")
            self._classes[alias] = cls
            cls.alias = alias
            return cls

        return decorator

    def names(self):
        """Returns the aliases of all members, sorted."""
        return sorted(self._classes)

    def class_of(self, alias):
        """Returns the class that is registered under an alias."""
        return self._classes[alias]

    def get(self, identifier, name, owner):
        """Returns the member that `identifier` stands for.

        Args:
            identifier: Alias, class, instance, config dictionary or function.
            name: Name of the argument it came through.
            owner: Name of the function or class that was given it.

        Returns:
            An instance of the family's base class.

        Raises:
            ValueError: If there is no such member.
            TypeError: If it is none of these kinds.
        """
        if isinstance(identifier, self.base):
            return identifier
        if isinstance(identifier, type) and issubclass(identifier, self.base):
            return identifier()
        if isinstance(identifier, dict):
            return self.deserialize(identifier, name, owner)
        if isinstance(identifier, str) or identifier is None:
            if identifier in self._classes:
                return self._classes[identifier]()
            raise ValueError(self._complaint(identifier, name, owner))
        if self.wrap_function is not None and inspect.isroutine(identifier):
            return self.wrap_function(identifier)
        raise TypeError(self._complaint(identifier, name, owner))

    def serialize(self, member):
        """Returns a dictionary of plain values from which `deserialize` makes the member again."""
        config = member.get_config()
        if self._classes.get(member.alias) is not type(member):
            raise ValueError(
                f"This {self.family} cannot be written down: {type(member).__name__} is not registered. "
                f"Register the class under a name of its own, or give one of {self.names()}."
            )
        return {"name": member.alias, "config": config}

    def deserialize(self, config, name, owner):
        """Returns the member described by a dictionary from `serialize`."""
        alias = config.get("name")
        if not isinstance(alias, str) or alias not in self._classes:
            raise ValueError(self._complaint(alias, name, owner))
        return self._classes[alias].from_config(config.get("config", {}))

    def _complaint(self, identifier, name, owner):
        return invalid_argument(
            name,
            owner,
            expected=f"{one_of(self.names())}, or a {self.base.__name__}",
            received=identifier,
            hint=self.other_names.get(str(identifier).lower()) or did_you_mean(identifier, self.names()),
        )
