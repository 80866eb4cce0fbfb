"""The monthly congestion report: figures, pages, maps, workbook, and revisions that stay."""
