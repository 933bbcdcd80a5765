"""MediaPipe's pose model over a film: `PYTHON benchmarks/mediapipe_pose.py FILM`.

`benchmarks.film` runs it under another Python, in whose environment mediapipe 0.10.21 or older is:
later wheels carry no model; these have `pose_landmark_full`, which follows one person. Prints JSON:
seconds, frames, and frames in which it found somebody. Imports nothing of this project.
"""

from __future__ import annotations

import importlib
import json
import sys
import time


def measure(film: str) -> dict[str, float]:
    """Reads the film, and looks at each frame, as a program would that follows one person."""
    cv2, mediapipe = (importlib.import_module(name) for name in ("cv2", "mediapipe"))
    frames = found = 0
    with mediapipe.solutions.pose.Pose(model_complexity=1) as pose:
        opened = cv2.VideoCapture(film)
        # The first frame loads the model.
        read, picture = opened.read()
        pose.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
        began = time.perf_counter()
        while True:
            read, picture = opened.read()
            if not read:
                break
            landmarks = pose.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)).pose_landmarks
            frames, found = frames + 1, found + (landmarks is not None)
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "frames": frames, "found": found}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
