"""The student: from a bracket's thumbnails to fusion weights and a 3D LUT. All of the model that ships."""
