"""Full and failing disks, hostile clients and mail, killed processes: nothing accepted is lost."""
