import pytest

from keras_slim.identifiers import Registry


class Shape:
    alias = None

    def __init__(self, size=1):
        self.size = size

    def get_config(self):
        return {"size": self.size}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class FunctionShape(Shape):
    def __init__(self, function):
        self.function = function


@pytest.fixture
def shapes():
    registry = Registry("shape", Shape, wrap_function=FunctionShape)
    registry.register("circle")(type("Circle", (Shape,), {}))
    registry.register("square")(type("Square", (Shape,), {}))
    return registry


def get(registry, identifier):
    return registry.get(identifier, "shape", "draw")


def test_names_are_sorted(shapes):
    assert shapes.names() == ["circle", "square"]


def test_registering_returns_the_class_and_tells_it_its_alias(shapes):
    cls = type("Star", (Shape,), {})
    assert shapes.register("star")(cls) is cls
    assert cls.alias == "star"


def test_an_alias_is_taken_once(shapes):
    with pytest.raises(ValueError, match="shape named 'circle' is registered already"):
        shapes.register("circle")(Shape)


def test_by_alias_class_instance_and_config(shapes):
    circle = get(shapes, "circle")
    assert circle.alias == "circle"
    assert type(get(shapes, type(circle))) is type(circle)
    assert get(shapes, circle) is circle
    config = {"name": "circle", "config": {"size": 3}}
    assert type(get(shapes, config)) is type(circle)
    assert get(shapes, config).size == 3


def test_an_alias_gives_a_new_instance_each_time(shapes):
    assert get(shapes, "circle") is not get(shapes, "circle")


@pytest.mark.parametrize("function", [lambda x: x, len, [].index])
def test_a_function_is_wrapped(shapes, function):
    assert get(shapes, function).function is function


def test_a_family_without_a_wrapper_refuses_functions():
    with pytest.raises(TypeError, match="`shape` of `draw`"):
        get(Registry("shape", Shape), lambda x: x)


@pytest.mark.parametrize("identifier", ["circel", None])
def test_an_unknown_alias_is_refused(shapes, identifier):
    with pytest.raises(ValueError, match=r"`shape` of `draw`. Expected one of 'circle', 'square', or a Shape"):
        get(shapes, identifier)


def test_the_nearest_alias_is_offered(shapes):
    with pytest.raises(ValueError, match=r"Received: shape='circel'\. Did you mean 'circle'\?"):
        get(shapes, "circel")


class Callable:
    """A member of another family, say: it can be called, yet it is not a function meant for this one."""

    def __call__(self, x):
        return x


@pytest.mark.parametrize("identifier", [3, 1.5, ["circle"], int, Callable()])
def test_another_kind_is_refused(shapes, identifier):
    with pytest.raises(TypeError, match="Expected one of 'circle'"):
        get(shapes, identifier)


def test_serialize_and_deserialize_are_inverse(shapes):
    member = type(get(shapes, "square"))(size=5)
    config = shapes.serialize(member)
    assert config == {"name": "square", "config": {"size": 5}}
    again = shapes.deserialize(config, "shape", "draw")
    assert (type(again), again.size) == (type(member), 5)


def test_a_config_without_arguments(shapes):
    assert shapes.deserialize({"name": "square"}, "shape", "draw").size == 1


@pytest.mark.parametrize("config", [{}, {"name": "hexagon"}, {"name": ["circle"]}])
def test_a_config_of_an_unknown_member_is_refused(shapes, config):
    with pytest.raises(ValueError, match="Expected one of 'circle', 'square'"):
        shapes.deserialize(config, "shape", "draw")
