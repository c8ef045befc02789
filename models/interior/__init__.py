"""A room with a bright window, made up from a seed and rendered as linear radiance: `scene.render`."""
