#!/usr/bin/env python3
"""What blueprint and probe cost on a ResNet-18: python/tenon_blueprint.py against saving plus one forward pass.

    plain: torch.save(state_dict), one forward pass in evaluation mode without gradients
    with:  torch.save(state_dict), tenon_blueprint.write(model, path, inputs), whose run is that forward pass

The extra is with - plain, as a share of plain; rounds of both alternate, the median of their differences counts; on a busy
machine the least of all rounds tells more. CPU time of the process is measured as well as the clock: waiting for the
disk and for other processes is not in it.

usage: blueprint_overhead.py [--batch 8] [--rounds 9] [--size 224] [--threads 1]
"""
import argparse
import os
import pathlib
import statistics
import sys
import tempfile
import time

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "python"))
import tenon_blueprint  # noqa: E402


class BasicBlock(nn.Module):
    def __init__(self, planes_in, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(planes_in, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or planes_in != planes:
            self.downsample = nn.Sequential(nn.Conv2d(planes_in, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))

    def forward(self, x):
        kept = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + kept)


class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        planes = 64
        for number, width in enumerate((64, 128, 256, 512), 1):
            stride = 1 if number == 1 else 2
            setattr(self, "layer%d" % number,
                    nn.Sequential(BasicBlock(planes, width, stride), BasicBlock(width, width, 1)))
            planes = width
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512, 1000)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def timed(work):
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = ResNet18().eval()
    images = torch.randn(options.batch, 3, options.size, options.size)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.pth")

        def plain():
            torch.save(model.state_dict(), path)
            with torch.no_grad():
                model(images)

        def with_blueprint():
            torch.save(model.state_dict(), path)
            tenon_blueprint.write(model, path, inputs=(images,))

        plain(), with_blueprint()  # warm up
        rounds = [(timed(plain), timed(with_blueprint)) for _ in range(options.rounds)]
    for name, place in (("clock", 0), ("cpu", 1)):
        base = statistics.median(one[place] for one, _ in rounds)
        extra = statistics.median(other[place] - one[place] for one, other in rounds)
        least = min(one[place] for one, _ in rounds)
        least_extra = min(other[place] for _, other in rounds) - least
        print("{}: save + forward {:.1f} ms, blueprint and probe add {:.1f} ms = {:.1f} %; least of all rounds: "
              "{:.1f} ms, {:.1f} ms = {:.1f} %".format(name, 1e3 * base, 1e3 * extra, 100 * extra / base, 1e3 * least,
                                                       1e3 * least_extra, 100 * least_extra / least))


if __name__ == "__main__":
    main()
