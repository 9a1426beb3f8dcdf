"""Operations that a GPU runs by kernels of their own, each with its plain definition."""
